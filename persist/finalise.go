package persist

// Finalising is one transaction a batch: read the orders, judge each answer, write what
// the verdicts say. An order never stays paid: it is paid and ticketed in one statement,
// and both are in its history.
//
// The first run is for the answers that nearly all are: it locks nothing, and its moves are
// of what is still claimed. Whoever is overtaken, or has an answer that fits no claimed order
// and so its money to record, is undone and run again: thorough, with the orders locked, in
// one order for everybody, and all that was captured for them read.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"onsale"
	"onsale/internal/crashpoint"
)

const (
	readPayments = `SELECT p.order_id, p.reference, p.state FROM payments p
		JOIN unnest($1::text[], $2::text[]) AS u (event, id) ON p.event = u.event AND p.order_id = u.id`

	// A stride: the history says paid, and then ticketed.
	ticketOrders = `UPDATE orders SET state = 'ticketed', updated_at = $2 WHERE id = ANY ($1::text[]) AND state = 'claimed'`

	declineOrders = `UPDATE orders o SET state = 'declined', reason = u.reason, updated_at = $3
		FROM unnest($1::text[], $2::text[]) AS u (id, reason) WHERE o.id = u.id AND o.state = 'claimed'`
	dropClaims = `DELETE FROM claims c USING unnest($1::text[], $2::text[]) AS u (event, id)
		WHERE c.event = u.event AND c.order_id = u.id`
	subtractClaimed = `UPDATE sections s SET claimed = s.claimed - u.quantity
		FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (event, section, quantity)
		WHERE s.event = u.event AND s.section = u.section`
	insertPayments = `INSERT INTO payments (event, order_id, reference, state, reason, amount, currency, captured_at, recorded_at)
		SELECT u.*, $9 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::timestamptz[])
			AS u (event, order_id, reference, state, reason, amount, currency, captured_at)`
	// A payment that is already on record keeps its state: it may be refunded by now.
	insertOddPayments = insertPayments + ` ORDER BY u.event, u.order_id, u.reference ON CONFLICT (event, order_id, reference) DO NOTHING`
	insertTickets     = `INSERT INTO tickets (event, order_id, number, section, seat, owner, issued_at)
		SELECT u.*, $7 FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[])
			AS u (event, order_id, number, section, seat, owner)`
)

// Stray is an answer of the provider that the book has no use for: money that
// bought nothing, recorded as refund_due, or a decline of what was captured. Someone
// must look at it.
type Stray struct {
	Index  int // of the answer in the batch
	Reason string
}

// Finalise ends orders as the provider's answers say: a captured order is paid and
// ticketed, a declined one gives its inventory back; one that is captured after it was
// declined is ticketed if all that it was for is still free. It returns the news of every
// order that has an end, including those that had it before: repeating a batch
// changes nothing and tells the same. Answers that fit no open order are returned
// as strays, again on each repeat; any captured money is recorded. The answers must
// be wellAnswered. After an error nothing is known, and the same batch must be
// finalised again.
func (s *Store) Finalise(ctx context.Context, results []onsale.ChargeResult) (news []onsale.OrderNews, strays []Stray, err error) {
	var events, ids []string
	seen := map[onsale.OrderID]bool{}
	for i := range results {
		if r := &results[i]; !seen[r.Order] {
			seen[r.Order] = true
			events, ids = append(events, string(r.Event)), append(ids, string(r.Order))
		}
	}
	var late []int
	thorough := false
	err = s.inTx(ctx, "finalise a batch", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		c := newClosing()
		if err := c.read(ctx, tx, events, ids, thorough); err != nil {
			return err
		}
		for i := range results {
			c.apply(i, &results[i])
		}
		if len(c.odd.orders) > 0 && !thorough {
			thorough = true
			return errOvertaken // what is odd is judged with everything in sight, and nothing moving
		}
		thorough = true
		c.issue()
		news, strays, late = c.news(ids), c.strays, c.late
		if err := c.write(ctx, tx); err != nil {
			return err
		}
		crashpoint.Reach(crashpoint.BeforeFinaliseCommit)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	crashpoint.Reach(crashpoint.AfterFinaliseCommit)
	if len(late) == 0 {
		return news, strays, nil
	}
	lateNews, lateStrays, err := s.reclaim(ctx, results, late)
	if err != nil {
		return nil, nil, err
	}
	strays = append(strays, lateStrays...)
	slices.SortFunc(strays, func(a, b Stray) int { return cmp.Compare(a.Index, b.Index) })
	return append(news, lateNews...), strays, nil
}

// closing is a batch of answers on its way into the book.
type closing struct {
	orders   map[onsale.OrderID]*bookedOrder
	captured map[onsale.OrderID]map[string]string // the state of each payment, by reference
	now      time.Time                            // by Postgres's clock

	tell     map[onsale.OrderID]bool
	strays   []Stray
	late     []int // answers that reclaim has to judge
	ticketed []*bookedOrder
	declined []*bookedOrder
	dropped  map[place]int64
	again    reclaiming     // what late payments claim; nothing unless reclaim is at it
	payments paymentColumns // that settle, of orders that had none
	odd      paymentColumns // all others
	tickets  ticketColumns
}

func newClosing() *closing {
	return &closing{
		orders:   map[onsale.OrderID]*bookedOrder{},
		captured: map[onsale.OrderID]map[string]string{},
		tell:     map[onsale.OrderID]bool{},
		dropped:  map[place]int64{},
	}
}

// read reads the orders, and which payments of them are on record. Who is thorough locks them;
// who is not finds out by the moves, which are only made of what is still claimed. An order that
// is has no payment, but for a stray from before it. So of those only who is thorough looks: for
// who is not, the payment's primary key refuses what has been overlooked.
func (c *closing) read(ctx context.Context, tx pgx.Tx, events, ids []string, thorough bool) error {
	var q pgx.Batch
	q.Queue(planForAny)
	collect := func(rows pgx.Rows) error { return collectBooked(rows, c.orders) }
	if thorough {
		q.Queue(lockBooked, ids).Query(collect)
	} else {
		q.Queue(readBooked, ids).Query(collect)
	}
	q.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&c.now) })
	if err := send(ctx, tx, &q); err != nil {
		return err
	}
	c.now = c.now.UTC()
	if !thorough {
		events, ids = c.notClaimed(events, ids)
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, readPayments, events, ids)
	if err != nil {
		return err
	}
	var order, reference, state string
	_, err = pgx.ForEachRow(rows, []any{&order, &reference, &state}, func() error {
		c.record(onsale.OrderID(order), reference, state)
		return nil
	})
	return err
}

// notClaimed are those of the orders, with their events, that are not claimed, or not in the book.
func (c *closing) notClaimed(events, ids []string) (theirEvents, others []string) {
	for i, id := range ids {
		if o := c.orders[onsale.OrderID(id)]; o == nil || o.State != onsale.OrderClaimed {
			theirEvents, others = append(theirEvents, events[i]), append(others, id)
		}
	}
	return theirEvents, others
}

// apply judges one answer and notes what follows. Later answers of the same batch
// meet the order as this one leaves it.
func (c *closing) apply(i int, r *onsale.ChargeResult) {
	o := c.orders[r.Order]
	v := judge(o, c.captured[r.Order], r)
	if v.late {
		if c.again.shelf == nil {
			c.late = append(c.late, i)
			return
		}
		v = c.claimAgain(o)
	}
	if v.stray != "" {
		c.strays = append(c.strays, Stray{Index: i, Reason: v.stray})
	}
	if v.payment != "" {
		payments := &c.odd
		if v.payment == paymentSettled && c.captured[r.Order][r.Reference] == "" {
			payments = &c.payments
		}
		payments.add(r, v.payment, v.stray)
		c.record(r.Order, r.Reference, v.payment)
	}
	if v.tell {
		c.tell[r.Order] = true
	}
	switch v.next {
	case onsale.OrderTicketed:
		o.State, o.UpdatedAt = onsale.OrderTicketed, c.now
		c.ticketed = append(c.ticketed, o)
	case onsale.OrderDeclined:
		o.State, o.Reason, o.UpdatedAt = onsale.OrderDeclined, v.reason, c.now
		c.declined = append(c.declined, o)
		addLines(c.dropped, o.Event, o.Lines)
	}
}

func (c *closing) record(order onsale.OrderID, reference, state string) {
	if c.captured[order] == nil {
		c.captured[order] = map[string]string{}
	}
	c.captured[order][reference] = state
}

// news is what is told of the orders, in the order in which they were first answered.
func (c *closing) news(ids []string) []onsale.OrderNews {
	var news []onsale.OrderNews
	for _, id := range ids {
		if c.tell[onsale.OrderID(id)] {
			news = append(news, c.orders[onsale.OrderID(id)].News())
		}
	}
	return news
}

func (c *closing) write(ctx context.Context, tx pgx.Tx) error {
	var q pgx.Batch
	c.again.queue(&q, c.now)
	c.queueTicketed(&q)
	if p := &c.odd; len(p.orders) > 0 {
		q.Queue(insertOddPayments, p.events, p.orders, p.references, p.states, p.reasons, p.amounts, p.currencies, p.captured, c.now)
		p.payBack(&q, c.now)
	}
	c.queueDeclined(&q)
	if q.Len() == 0 {
		return nil
	}
	return send(ctx, tx, &q)
}

// queueTicketed moves the orders first, one way round for everybody: of two settlers with the
// same answers one waits there.
func (c *closing) queueTicketed(q *pgx.Batch) {
	if len(c.ticketed) == 0 {
		return
	}
	ids := make([]string, len(c.ticketed))
	for i, o := range c.ticketed {
		ids[i] = string(o.ID)
	}
	q.Queue(ticketOrders, ids, c.now).Exec(allOf(len(ids)))
	p, t := &c.payments, &c.tickets
	if len(p.orders) > 0 {
		q.Queue(insertPayments, p.events, p.orders, p.references, p.states, p.reasons, p.amounts, p.currencies, p.captured, c.now)
	}
	q.Queue(insertTickets, t.events, t.orders, t.numbers, t.sections, t.seats, t.owners, c.now)
}

func (c *closing) queueDeclined(q *pgx.Batch) {
	if len(c.declined) == 0 {
		return
	}
	var events, ids, reasons []string
	for _, o := range c.declined {
		events, ids, reasons = append(events, string(o.Event)), append(ids, string(o.ID)), append(reasons, o.Reason)
	}
	sections := sectionsOf(c.dropped)
	q.Queue(lockSections, sections.events, sections.sections)
	q.Queue(declineOrders, ids, reasons, c.now).Exec(allOf(len(ids)))
	q.Queue(dropClaims, events, ids)
	q.Queue(subtractClaimed, sections.events, sections.sections, sections.quantities)
}

// allOf has a statement that doesn't change so many rows be overtaken: someone else has moved one.
func allOf(rows int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(rows) {
			return errOvertaken
		}
		return nil
	}
}

// paymentColumns are rows of payments.
type paymentColumns struct {
	events, orders, references, states, reasons, currencies []string
	amounts                                                 []int64
	captured                                                []time.Time
}

func (c *paymentColumns) add(r *onsale.ChargeResult, state, reason string) {
	c.events = append(c.events, string(r.Event))
	c.orders = append(c.orders, string(r.Order))
	c.references = append(c.references, r.Reference)
	c.states = append(c.states, state)
	c.reasons = append(c.reasons, reason)
	c.amounts = append(c.amounts, r.Amount)
	c.currencies = append(c.currencies, r.Currency)
	c.captured = append(c.captured, r.At)
}

// wellAnswered returns why an answer can't be taken at all: it names no order of
// its event, has no definite outcome, a capture can't be told from another one, or
// it has text that no table can keep.
func wellAnswered(r *onsale.ChargeResult) error {
	event, _, ok := r.Order.Parse()
	switch {
	case !ok:
		return errors.New("the order's id is not one")
	case event != r.Event:
		return errors.New("the order's id is of another event")
	case r.Outcome != onsale.ChargeCaptured && r.Outcome != onsale.ChargeDeclined:
		return errors.New("its outcome is neither captured nor declined")
	case r.Outcome == onsale.ChargeCaptured && r.Reference == "":
		return errors.New("the capture has no reference")
	case r.Amount < 0:
		return errors.New("its amount is negative")
	case strings.ContainsRune(r.Reference+r.Reason+r.Currency, 0):
		return errors.New("it has a zero byte in it")
	}
	return nil
}
