package persist

// Claiming is one transaction a batch, in three steps: lock the sections that the
// batch touches, in one order for everybody, and read what is left of them; decide
// in memory, on the shelf; write what was decided. The locks make the decision
// exact: an order that can't have everything costs nobody a seat. The unique index
// on seats and the check on counters stand behind it all the same.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/crashpoint"
)

// Why an order is rejected. Otherwise the reason is the code with which the
// event's layout refuses its lines, as unknown_section.
const (
	ReasonSoldOut      = string(onsale.CodeSoldOut)
	ReasonUnknownEvent = string(onsale.CodeUnknownEvent)
	ReasonWrongAmount  = "wrong_amount" // not what the lines cost
)

const (
	lockSections = `SELECT s.event, s.section, s.capacity - s.claimed FROM sections s
		JOIN unnest($1::text[], $2::text[]) AS u (event, section) ON u.event = s.event AND u.section = s.section
		ORDER BY s.event, s.section FOR UPDATE OF s`
	readSeats = `SELECT c.event, c.section, c.seat FROM claims c
		JOIN unnest($1::text[], $2::text[], $3::text[]) AS u (event, section, seat)
		ON c.event = u.event AND c.section = u.section AND c.seat = u.seat WHERE c.seat <> ''`
	// Sorted, so that two settlers that insert the same orders wait for each other one way round. Who comes
	// second violates the primary key, and on the next run finds them in the book.
	insertOrders = `INSERT INTO orders (id, event, buyer, state, reason, lines, amount, currency, payment_token, accepted_at, updated_at)
		SELECT u.id, u.event, u.buyer, u.state, u.reason, u.lines::jsonb, u.amount, u.currency, u.token, u.accepted, $11
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::timestamptz[])
			AS u (id, event, buyer, state, reason, lines, amount, currency, token, accepted)
		ORDER BY u.id`
	insertClaims = `INSERT INTO claims (event, order_id, section, seat, quantity)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[])`
	addClaimed = `UPDATE sections s SET claimed = s.claimed + u.quantity
		FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (event, section, quantity)
		WHERE s.event = u.event AND s.section = u.section`
	readClock = `SELECT clock_timestamp()`
)

// Claim gives a batch of purchases their inventory, durably. Each becomes a
// claimed order, whose charge is returned, or a rejected one, whose news is; an
// order gets everything it asks for or nothing. A purchase whose order is already
// in the book changes nothing: its charge is returned again while it is open, its
// news once it has ended. The purchases must be wellFormed. After an error nothing
// is known, and the same batch must be claimed again.
func (s *Store) Claim(ctx context.Context, purchases []onsale.Purchase) (claimed []onsale.Charge, rejected []onsale.OrderNews, err error) {
	b, err := s.screen(ctx, purchases)
	if err != nil {
		return nil, nil, err
	}
	err = s.inTx(ctx, "claim a batch", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		found, err := b.lock(ctx, tx)
		if err != nil {
			return err
		}
		decided, err := b.decide(found)
		if err != nil {
			return err
		}
		claimed, rejected = decided.charges, decided.news
		if err := decided.write(ctx, tx); err != nil {
			return err
		}
		crashpoint.Reach(crashpoint.BeforeClaimCommit)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	crashpoint.Reach(crashpoint.AfterClaimCommit)
	return claimed, rejected, nil
}

// claimBatch is a batch of purchases, each order once.
type claimBatch struct {
	purchases []*onsale.Purchase
	refused   map[onsale.OrderID]string // why an order can't be claimed whatever is left
	ids       []string
	sections  sectionColumns
	seats     claimColumns
}

// screen completes the purchases' lines and finds those that nothing can be
// claimed for: their event or section is unknown, or they would be charged
// something else than the price. Holds grants none of these; they are a defect.
func (s *Store) screen(ctx context.Context, purchases []onsale.Purchase) (*claimBatch, error) {
	b := &claimBatch{refused: map[onsale.OrderID]string{}}
	seen, wanted := map[onsale.OrderID]bool{}, map[place]int64{}
	for i := range purchases {
		p := purchases[i]
		if seen[p.Order] {
			continue
		}
		seen[p.Order] = true
		p.Lines = slices.Clone(p.Lines) // completed below; the caller's stay as they are
		b.purchases = append(b.purchases, &p)
		b.ids = append(b.ids, string(p.Order))
		reason, err := s.check(ctx, &p)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			b.refused[p.Order] = reason
			continue
		}
		addLines(wanted, p.Event, p.Lines)
		b.seats.add(p.Event, p.Order, p.Lines)
	}
	b.sections = sectionsOf(wanted)
	return b, nil
}

func (s *Store) check(ctx context.Context, p *onsale.Purchase) (reason string, err error) {
	layout, err := s.Layout(ctx, p.Event)
	if errors.Is(err, onsale.Refuse(onsale.CodeUnknownEvent, "")) {
		return ReasonUnknownEvent, nil
	}
	if err != nil {
		return "", err
	}
	amount, err := layout.CheckLines(p.Lines)
	if err != nil {
		return string(onsale.CodeOf(err)), nil
	}
	if amount != p.Amount || p.Currency != layout.Event.Currency {
		return ReasonWrongAmount, nil
	}
	return "", nil
}

// found is what the book says while the batch's sections are locked.
type found struct {
	shelf  *shelf
	orders map[onsale.OrderID]*bookedOrder
	now    time.Time // by Postgres's clock, the only one that stamps orders
}

func (b *claimBatch) lock(ctx context.Context, tx pgx.Tx) (*found, error) {
	f := &found{shelf: newShelf(), orders: map[onsale.OrderID]*bookedOrder{}}
	var q pgx.Batch
	q.Queue(planForAny)
	f.shelf.queue(&q, &b.sections, &b.seats)
	q.Queue(readBooked, b.ids).Query(func(rows pgx.Rows) error { return collectBooked(rows, f.orders) })
	q.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&f.now) })
	return f, send(ctx, tx, &q)
}

// claimDecision is what a batch comes to: what is told, and what is written.
type claimDecision struct {
	charges []onsale.Charge
	news    []onsale.OrderNews

	orders   orderColumns
	claims   claimColumns
	sections map[place]int64
	now      time.Time
}

// decide gives the orders that are not in the book yet their inventory, first come
// first served, and repeats to those that are what they were told before.
func (b *claimBatch) decide(f *found) (*claimDecision, error) {
	d := &claimDecision{sections: map[place]int64{}, now: f.now.UTC()}
	for _, p := range b.purchases {
		if o := f.orders[p.Order]; o != nil {
			if o.State.Final() {
				d.news = append(d.news, o.News())
			} else {
				d.charges = append(d.charges, o.charge())
			}
			continue
		}
		state, reason := onsale.OrderClaimed, ""
		if why, refused := b.refused[p.Order]; refused {
			state, reason = onsale.OrderRejected, why
		} else if !f.shelf.take(p.Event, p.Lines) {
			state, reason = onsale.OrderRejected, ReasonSoldOut
		}
		if err := d.orders.add(p, state, reason); err != nil {
			return nil, err
		}
		o := newBooked(p, state, reason, d.now)
		if state == onsale.OrderRejected {
			d.news = append(d.news, o.News())
			continue
		}
		d.charges = append(d.charges, o.charge())
		d.claims.add(p.Event, p.Order, p.Lines)
		addLines(d.sections, p.Event, p.Lines)
	}
	return d, nil
}

func (d *claimDecision) write(ctx context.Context, tx pgx.Tx) error {
	o, c, sections := &d.orders, &d.claims, sectionsOf(d.sections)
	if len(o.ids) == 0 {
		return nil
	}
	var q pgx.Batch
	q.Queue(insertOrders, o.ids, o.events, o.buyers, o.states, o.reasons, o.lines, o.amounts, o.currencies, o.tokens, o.accepted, d.now)
	q.Queue(insertClaims, c.events, c.orders, c.sections, c.seats, c.quantities)
	q.Queue(addClaimed, sections.events, sections.sections, sections.quantities)
	return send(ctx, tx, &q)
}

// wellFormed returns why a purchase can be neither claimed nor rejected: its ids
// don't name one order of one event, or it has text that no table can keep.
func wellFormed(p *onsale.Purchase) error {
	event, _, ok := p.Order.Parse()
	switch {
	case !ok:
		return errors.New("the order's id is not one")
	case event != p.Event:
		return errors.New("the order's id is of another event")
	case p.Hold.Order() != p.Order || p.Order.Hold() != p.Hold:
		return errors.New("the order is not its hold's")
	case p.At.IsZero():
		return errors.New("it does not say when it was accepted")
	case p.Amount < 0 || p.Currency == "":
		return errors.New("it has no price")
	case strings.ContainsRune(p.PaymentToken, 0) || strings.ContainsRune(string(p.Buyer), 0):
		return errors.New("it has a zero byte in it")
	}
	return nil
}
