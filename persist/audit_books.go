package persist

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// books are all that is known of one event, for the checks to compare.
type books struct {
	in     AuditInput
	at     time.Time // by Postgres's clock
	layout *onsale.Layout

	orders   []*onsale.Order // by id
	byID     map[onsale.OrderID]*onsale.Order
	claims   []claimRow
	counters map[string]int64 // what the sections say is claimed of them
	payments map[onsale.OrderID][]paymentRow
	tickets  map[onsale.OrderID][]onsale.Ticket   // by number
	takers   map[onsale.TicketID][]onsale.BuyerID // who accepted it, the first first
	checkins []onsale.Checkin                     // by ticket
	refunds  map[onsale.OrderID][]*refundRow      // oldest first

	dead      map[onsale.OrderID][]DeadLetter        // oldest first
	claimedIn map[string]int64                       // what the claims add up to, by section
	claimsOf  map[onsale.OrderID][]onsale.Line       // what the claims of each order add up to
	ledger    map[onsale.OrderID]*onsale.LedgerEntry // nil if the provider's side is unknown
	held      []*onsale.HeldRecord                   // Redis's holds, by id; none if its side is unknown
	holds     map[onsale.HoldID]*onsale.HeldRecord
}

// claimRow is one live claim.
type claimRow struct {
	order    onsale.OrderID
	section  string
	seat     string // "" in a general section
	quantity int
}

// paymentRow is one capture that was reported.
type paymentRow struct {
	order     onsale.OrderID
	reference string
	state     string
	reason    string
	amount    int64
	currency  string

	payingBack int64
}

// load reads the event's rows. The books have their input already.
func (b *books) load(ctx context.Context, tx pgx.Tx) error {
	var event *onsale.Event
	b.counters, b.takers = map[string]int64{}, map[onsale.TicketID][]onsale.BuyerID{} // anew in each attempt
	var payments []paymentRow
	var tickets []onsale.Ticket
	var refunds []*refundRow
	id := string(b.in.Event)
	var q pgx.Batch
	q.Queue(eventColumns+`WHERE id = $1`, id).Query(func(rows pgx.Rows) (err error) {
		events, err := pgx.CollectRows(rows, scanEvent)
		if err == nil && len(events) == 0 {
			return unknownEvent(b.in.Event)
		}
		if err == nil {
			event = events[0]
		}
		return err
	})
	q.Queue(`SELECT section, claimed FROM sections WHERE event = $1`, id).Query(func(rows pgx.Rows) error {
		var section string
		var claimed int64
		_, err := pgx.ForEachRow(rows, []any{&section, &claimed}, func() error { b.counters[section] = claimed; return nil })
		return err
	})
	q.Queue(orderColumnsRead+`WHERE event = $1 ORDER BY id`, id).Query(func(rows pgx.Rows) (err error) {
		b.orders, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*onsale.Order, error) {
			o, err := scanOrder(row)
			return &o, err
		})
		return err
	})
	q.Queue(`SELECT order_id, section, seat, quantity FROM claims WHERE event = $1 ORDER BY order_id, section, seat`, id).Query(func(rows pgx.Rows) (err error) {
		b.claims, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c claimRow, err error) {
			err = row.Scan(&c.order, &c.section, &c.seat, &c.quantity)
			return c, err
		})
		return err
	})
	q.Queue(`SELECT order_id, reference, state, reason, amount, currency, paying_back FROM payments WHERE event = $1 ORDER BY order_id, reference`, id).Query(func(rows pgx.Rows) (err error) {
		payments, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p paymentRow, err error) {
			err = row.Scan(&p.order, &p.reference, &p.state, &p.reason, &p.amount, &p.currency, &p.payingBack)
			return p, err
		})
		return err
	})
	q.Queue(ticketColumnsRead+`WHERE event = $1 ORDER BY order_id, number`, id).Query(func(rows pgx.Rows) (err error) {
		tickets, err = pgx.CollectRows(rows, scanTicket)
		return err
	})
	b.queueRefunds(&q, &refunds)
	q.Queue(readTakers, id).Query(b.collectTakers)
	q.Queue(checkinColumnsRead+`WHERE c.event = $1 ORDER BY c.order_id, c.number`, id).Query(func(rows pgx.Rows) (err error) {
		b.checkins, err = pgx.CollectRows(rows, scanCheckin)
		return err
	})
	q.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&b.at) })
	if err := send(ctx, tx, &q); err != nil {
		return err
	}
	if v := b.in.View; v != nil && v.Stock.Event != b.in.Event {
		return fmt.Errorf("the view of Redis is of event %q", v.Stock.Event)
	}
	b.layout, b.at = onsale.NewLayout(event), b.at.UTC()
	b.index(payments, tickets, refunds)
	return nil
}

// index arranges the rows by what the checks look for.
func (b *books) index(payments []paymentRow, tickets []onsale.Ticket, refunds []*refundRow) {
	b.byID = make(map[onsale.OrderID]*onsale.Order, len(b.orders))
	for _, o := range b.orders {
		b.byID[o.ID] = o
	}
	b.payments = map[onsale.OrderID][]paymentRow{}
	for _, p := range payments {
		b.payments[p.order] = append(b.payments[p.order], p)
	}
	b.tickets = map[onsale.OrderID][]onsale.Ticket{}
	for _, t := range tickets {
		b.tickets[t.Order] = append(b.tickets[t.Order], t)
	}
	b.refunds = map[onsale.OrderID][]*refundRow{}
	for _, r := range refunds {
		b.refunds[r.Order] = append(b.refunds[r.Order], r)
	}
	b.claimedIn, b.claimsOf = map[string]int64{}, map[onsale.OrderID][]onsale.Line{}
	for _, c := range b.claims {
		b.claimedIn[c.section] += int64(c.quantity)
		b.claimsOf[c.order] = addClaim(b.claimsOf[c.order], c.section, c.seat, c.quantity)
	}
	b.dead = map[onsale.OrderID][]DeadLetter{}
	for _, d := range b.in.Dead {
		b.dead[d.Order] = append(b.dead[d.Order], d)
	}
	b.indexLedger()
	b.held, b.holds = nil, map[onsale.HoldID]*onsale.HeldRecord{}
	if b.in.View == nil {
		return
	}
	for i := range b.in.View.Holds {
		h := &b.in.View.Holds[i]
		b.held = append(b.held, h)
		b.holds[h.ID] = h
	}
	slices.SortStableFunc(b.held, func(x, y *onsale.HeldRecord) int { return cmp.Compare(x.ID, y.ID) })
}

// indexLedger keeps the entries of this event. A provider has one for each
// idempotency key; if it has more, their captures are one order's all the same.
func (b *books) indexLedger() {
	if b.in.Ledger == nil {
		return
	}
	b.ledger = map[onsale.OrderID]*onsale.LedgerEntry{}
	for _, e := range b.in.Ledger {
		if event, _, ok := e.Order.Parse(); !ok || event != b.in.Event {
			continue
		}
		if first := b.ledger[e.Order]; first != nil {
			first.Captures += e.Captures
			first.Refunded += e.Refunded
			continue
		}
		b.ledger[e.Order] = &e
	}
}
