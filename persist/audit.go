package persist

// The audit writes the seven invariants of DESIGN.md down as code. Postgres is read
// in one snapshot into books; each invariant is one function over those books and
// what the caller read of Redis, of the payment provider and of a feed. Those
// functions have no I/O, so the tests can break each promise on its own and see the
// culprit named.

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// AuditInput is what an audit needs besides Postgres. Everything in it must have
// been read before the audit begins: what Postgres then says is newer, and the
// checks that hold during a sale rely on that order.
type AuditInput struct {
	Event     onsale.EventID
	View      *onsale.HoldsView    // Redis's side; nil if it can't be had: invariants 1, 6 and 7 are then not checked
	NoView    string               // why there is no View
	Ledger    []onsale.LedgerEntry // the provider's side; nil if unknown. Entries of other events are ignored
	Unsettled int64                // purchases in Kafka that GroupClaim has not committed
	Dead      []DeadLetter         // the dead letters of the stages that are of this event
	// AtRest is the fact that nothing was under way when the rest of this was read: no
	// sale traffic, every order drained, Redis told of each, and the sale what Postgres
	// says. Overdue is the caller's claim that it should have been so: whatever was under
	// way has had its time. Only with one of the two can what is still open be called
	// lost, and Redis be held to agree with Postgres.
	AtRest, Overdue bool
	// Feed is what a client that followed the protocol has folded, brought to View's
	// epoch and sequence number, or left behind if it never got there; nil if there is
	// none: invariant 7 is then not checked.
	Feed   *onsale.FeedSnapshot
	NoFeed string // why there is no Feed
}

// settled reports whether what is still open can be called lost.
func (in *AuditInput) settled() bool { return in.AtRest || in.Overdue }

// DeadLetter is a record of an order that a stage could not process.
type DeadLetter struct {
	Order  onsale.OrderID // "" if the record can't be read and its key doesn't tell
	Topic  string         // whose stage gave it up, one of the root package's
	Origin string         // where exactly the record was, as topic/partition@offset
	Reason string
	At     time.Time
}

// checks are the invariants, in their order.
var checks = []func(*books, *findings){
	checkCounts, checkClaims, checkCharges, checkRefunds, checkOrders, checkKeys, checkTickets, checkHolds, checkRest, checkFeed,
	noteUnchecked,
}

// reading runs f in a snapshot of the tables.
type reading func(ctx context.Context, f func(context.Context, pgx.Tx) error) error

// Audit checks an event against every store and reports what it found, and what it
// could not look at. An error means that the audit could not be made, not that
// something is broken; an event that doesn't exist is refused with CodeUnknownEvent.
func (s *Store) Audit(ctx context.Context, in AuditInput) (*onsale.AuditReport, error) {
	doing := "audit " + string(in.Event)
	replica := s.replicas.caughtUp(ctx) // what it says is then newer than the input, as the master's is
	return s.auditWith(ctx, in, func(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
		if replica != nil {
			err := inTxOn(ctx, replica.pool, doing, snapshot, f)
			if err == nil || ctx.Err() != nil {
				return err
			}
			replica = nil // a long read may lose against what the replica replays
		}
		return s.inTx(ctx, doing, snapshot, f)
	})
}

// auditWith reads twice, since the checks between are a matter of seconds if there are
// many tickets, and no snapshot should be kept open so long. A history only grows.
func (s *Store) auditWith(ctx context.Context, in AuditInput, read reading) (*onsale.AuditReport, error) {
	b := &books{in: in}
	if err := read(ctx, b.load); err != nil {
		return nil, err
	}
	f := examine(b)
	var histories map[onsale.OrderID][]string
	err := read(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		histories, err = readHistories(ctx, tx, f.culprits())
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.conclude(b, histories), nil
}

// examine runs every check and adds the figures up.
func examine(b *books) *findings {
	f := newFindings()
	for _, check := range checks {
		check(b, f)
	}
	r := &f.report
	r.Event, r.At, r.Orders = b.in.Event, b.at, map[onsale.OrderState]int64{}
	for _, o := range b.orders {
		r.Orders[o.State]++
	}
	for i := range b.layout.Event.Sections {
		section := &b.layout.Event.Sections[i]
		audited := onsale.AuditedSection{ID: section.ID, Capacity: section.Capacity, Claimed: b.claimedIn[section.ID]}
		if v := b.in.View; v != nil && i < len(v.Stock.Counts) {
			audited.Counts = v.Stock.Counts[i]
		}
		r.Sections = append(r.Sections, audited)
	}
	return f
}

// readHistories returns what happened to orders, oldest first, as lines of text.
func readHistories(ctx context.Context, tx pgx.Tx, orders []string) (map[onsale.OrderID][]string, error) {
	histories := map[onsale.OrderID][]string{}
	if len(orders) == 0 {
		return histories, nil
	}
	rows, err := tx.Query(ctx, `SELECT order_id, from_state, to_state, reason, actor, at FROM order_history
		WHERE order_id = ANY ($1::text[]) ORDER BY order_id, seq`, orders)
	if err != nil {
		return nil, err
	}
	var order, from, to, reason, actor string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&order, &from, &to, &reason, &actor, &at}, func() error {
		line := fmt.Sprintf("%s %s: %s → %s", stamp(at), order, from, to)
		if reason != "" {
			line += " (" + reason + ")"
		}
		if actor != string(onsale.ActorSettlement) {
			line += " by " + actor
		}
		histories[onsale.OrderID(order)] = append(histories[onsale.OrderID(order)], line)
		return nil
	})
	return histories, err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
