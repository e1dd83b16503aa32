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
	Ledger    []onsale.LedgerEntry // the provider's side; nil if unknown. Entries of other events are ignored
	Unsettled int64                // purchases in Kafka that GroupClaim has not committed
	Dead      []DeadLetter         // the dead letters of the stages that are of this event
	// Quiet says that nothing is under way: no sale traffic, every order drained, and
	// Redis told of each. Only then can what is still open be called lost, and Redis be
	// held to agree with Postgres.
	Quiet bool
	// Feed is what a client that followed the protocol has folded, brought to View's
	// epoch and sequence number, or left behind if it never got there; nil if there is none.
	Feed *onsale.FeedSnapshot
}

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
	checkCounts, checkClaims, checkCharges, checkOrders, checkKeys, checkHolds, checkRest, checkFeed,
}

// Audit checks an event against every store and reports what it found. An error
// means that the audit could not be made, not that something is broken; an event
// that doesn't exist is refused with CodeUnknownEvent.
func (s *Store) Audit(ctx context.Context, in AuditInput) (*onsale.AuditReport, error) {
	var report *onsale.AuditReport
	err := s.inTx(ctx, "audit "+string(in.Event), snapshot, func(ctx context.Context, tx pgx.Tx) (err error) {
		report, err = auditIn(ctx, tx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

func auditIn(ctx context.Context, tx pgx.Tx, in AuditInput) (*onsale.AuditReport, error) {
	b, err := loadBooks(ctx, tx, in)
	if err != nil {
		return nil, err
	}
	f := examine(b)
	histories, err := readHistories(ctx, tx, f.culprits())
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
	rows, err := tx.Query(ctx, `SELECT order_id, from_state, to_state, reason, at FROM order_history
		WHERE order_id = ANY ($1::text[]) ORDER BY order_id, seq`, orders)
	if err != nil {
		return nil, err
	}
	var order, from, to, reason string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&order, &from, &to, &reason, &at}, func() error {
		line := fmt.Sprintf("%s %s: %s → %s", stamp(at), order, from, to)
		if reason != "" {
			line += " (" + reason + ")"
		}
		histories[onsale.OrderID(order)] = append(histories[onsale.OrderID(order)], line)
		return nil
	})
	return histories, err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
