package persist

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// world is an event at rest, the same in every store: some orders ticketed, one
// declined, one rejected, one hold held, two released. A test breaks one thing in it.
type world struct {
	*book
	tx     pgx.Tx // where Postgres is broken and audited; nil: nothing is broken there
	in     AuditInput
	layout *onsale.Layout

	seated   onsale.Purchase // ticketed: stalls, and a floor place
	standing onsale.Purchase // ticketed: two floor places
	refused  onsale.Purchase // declined: stalls A-3
	beaten   onsale.Purchase // rejected: stalls A-1
	held     *onsale.HeldRecord
	again    onsale.OrderID // a second order, in a world where a key bought twice
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := newBook(t)
	w := &world{book: b, layout: onsale.NewLayout(b.event)}
	w.seated, w.standing = b.purchase(stalls("A-1", "A-2"), floor(1)), b.purchase(floor(2))
	w.refused, w.beaten = b.purchase(stalls("A-3")), b.purchase(stalls("A-1"))
	b.claim(w.seated, w.standing, w.refused, w.beaten)
	b.finalise(captured(w.seated), captured(w.standing), declined(w.refused))
	if _, err := b.SetSale(t.Context(), b.event.ID, onsale.SaleOpen); err != nil {
		t.Fatal(err)
	}
	w.readStores()
	return w
}

// broken runs a test on the world with something broken, and mends it again.
func (w *world) broken(spoil, test func(w *world)) {
	w.t.Helper()
	tx, err := w.pool.Begin(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(context.Background()); err != nil {
			w.t.Error(err)
		}
	}()
	damaged := *w
	damaged.tx = tx
	damaged.readStores()
	damaged.corrupt(`SET LOCAL session_replication_role = replica`) // no trigger stands in the way
	spoil(&damaged)
	test(&damaged)
}

// corrupt changes the tables of a world that is being broken.
func (w *world) corrupt(statements ...string) {
	w.t.Helper()
	for _, statement := range statements {
		if _, err := w.tx.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// readStores makes what Redis, the provider and a feed say of the orders.
func (w *world) readStores() {
	b, now := w.book, time.Now().UTC()
	w.in = AuditInput{Event: b.event.ID, AtRest: true, View: &onsale.HoldsView{
		Stock: onsale.Stock{Event: b.event.ID, Epoch: 1, Seq: 9, At: now, Sale: onsale.SaleOpen,
			Counts: []onsale.Counts{{Available: 10}, {Available: 30}}, Seats: w.layout.Empty()},
		Buyers: map[onsale.BuyerID]int64{},
	}}
	other := b.purchase(stalls("C-5", "C-6"), floor(1))
	w.hold(other, onsale.HoldHeld)
	w.hold(w.seated, onsale.HoldSold)
	w.hold(w.standing, onsale.HoldSold)
	w.hold(w.refused, onsale.HoldReleased)
	w.hold(w.beaten, onsale.HoldReleased)
	w.held = w.record(other.Hold)
	for _, p := range []onsale.Purchase{w.seated, w.standing} {
		w.in.Ledger = append(w.in.Ledger, onsale.LedgerEntry{Order: p.Order, Reference: captured(p).Reference, Outcome: onsale.ChargeCaptured,
			Amount: p.Amount, Currency: p.Currency, Captures: 1})
	}
	w.in.Ledger = append(w.in.Ledger, onsale.LedgerEntry{Order: w.refused.Order, Outcome: onsale.ChargeDeclined, Amount: w.refused.Amount, Currency: "EUR"},
		onsale.LedgerEntry{Order: "ord_ball_1_00000000000000000000000000", Outcome: onsale.ChargeCaptured, Captures: 3}) // another event's
	w.fold()
}

// hold puts a hold into Redis's view, counts and seats included.
func (w *world) hold(p onsale.Purchase, state onsale.HoldState) {
	w.t.Helper()
	v := w.in.View
	h := onsale.HeldRecord{Hold: onsale.Hold{ID: p.Hold, Event: p.Event, State: state, Generation: 1, Lines: p.Lines, Amount: p.Amount,
		Currency: p.Currency, Buyer: p.Buyer, ExpiresAt: v.Stock.At.Add(time.Minute)}}
	switch state {
	case onsale.HoldHeld:
		h.Due = h.ExpiresAt
	case onsale.HoldPinned:
		h.PinnedAt = v.Stock.At.Add(-time.Second)
	case onsale.HoldReleased:
		h.Due = v.Stock.At.Add(onsale.HoldMemory) // when it is forgotten
	}
	v.Holds = append(v.Holds, h)
	if letterOf(state) == 0 {
		return
	}
	v.Buyers[p.Buyer] += int64(onsale.Quantity(p.Lines))
	for _, line := range p.Lines {
		s := w.layout.Section(line.Section)
		count(&v.Stock.Counts[s.Index], onsale.HoldReleased, -line.Quantity)
		count(&v.Stock.Counts[s.Index], state, line.Quantity)
		for _, seat := range line.Seats {
			w.letter(line.Section, seat, letterOf(state))
		}
	}
}

// move takes a hold from one live state to another, in every part of the view.
func (w *world) move(p onsale.Purchase, to onsale.HoldState) {
	h := w.record(p.Hold)
	for _, line := range h.Lines {
		s := w.layout.Section(line.Section)
		count(&w.in.View.Stock.Counts[s.Index], h.State, -line.Quantity)
		count(&w.in.View.Stock.Counts[s.Index], to, line.Quantity)
		for _, seat := range line.Seats {
			w.letter(line.Section, seat, letterOf(to))
		}
	}
	h.State, h.Due, h.PinnedAt = to, time.Time{}, time.Time{}
	switch to {
	case onsale.HoldHeld:
		h.Due = h.ExpiresAt
	case onsale.HoldPinned:
		h.PinnedAt = w.in.View.Stock.At.Add(-time.Second)
	}
}

// owe makes a sold hold owed: what it had in Redis is another hold's.
func (w *world) owe(p onsale.Purchase) {
	w.t.Helper()
	w.move(p, onsale.HoldReleased)
	w.in.View.Buyers[p.Buyer] -= int64(onsale.Quantity(p.Lines))
	other := w.purchase(p.Lines...)
	for _, line := range other.Lines {
		for _, seat := range line.Seats {
			w.letter(line.Section, seat, onsale.SeatAvailable)
		}
	}
	w.hold(other, onsale.HoldHeld)
	h := w.record(p.Hold)
	h.State, h.Due, h.Owed = onsale.HoldSold, time.Time{}, true
	w.fold()
}

func count(c *onsale.Counts, state onsale.HoldState, n int) {
	switch state {
	case onsale.HoldHeld:
		c.Held += int64(n)
	case onsale.HoldPinned:
		c.Pinned += int64(n)
	case onsale.HoldSold:
		c.Sold += int64(n)
	default:
		c.Available += int64(n)
	}
}

func (w *world) letter(section, seat string, letter byte) {
	w.t.Helper()
	at, ok := w.layout.Section(section).Offset(seat)
	if !ok {
		w.t.Fatalf("no seat %s", seat)
	}
	w.in.View.Stock.Seats[at] = letter
}

func (w *world) record(id onsale.HoldID) *onsale.HeldRecord {
	i := slices.IndexFunc(w.in.View.Holds, func(h onsale.HeldRecord) bool { return h.ID == id })
	return &w.in.View.Holds[i]
}

// bury adds a dead letter of a purchase's order.
func (w *world) bury(p onsale.Purchase, topic, reason string) {
	w.in.Dead = append(w.in.Dead, DeadLetter{Order: p.Order, Topic: topic, Origin: topic + "/0@7", Reason: reason, At: time.Now()})
}

// entry is the provider's entry of a purchase.
func (w *world) entry(p onsale.Purchase) *onsale.LedgerEntry {
	i := slices.IndexFunc(w.in.Ledger, func(e onsale.LedgerEntry) bool { return e.Order == p.Order })
	return &w.in.Ledger[i]
}

// fold makes the feed what a client that missed nothing has.
func (w *world) fold() {
	stock := &w.in.View.Stock
	feed := &onsale.FeedSnapshot{Type: onsale.FrameSnapshot, Event: stock.Event, Epoch: stock.Epoch, Seq: stock.Seq, At: stock.At, Sale: stock.Sale}
	for i, s := range w.layout.Sections() {
		feed.Sections = append(feed.Sections, onsale.FeedSection{ID: s.ID, Counts: stock.Counts[i], Seats: string(stock.Seats[s.Start:s.End])})
	}
	w.in.Feed = feed
}

// refund makes the order of two floor places refunded, by the word of its row alone.
func (w *world) refund() {
	w.t.Helper()
	w.forOrder(w.standing, `UPDATE orders SET state = 'refunded' WHERE id = %s`, `DELETE FROM claims WHERE order_id = %s`,
		`UPDATE sections SET claimed = claimed - 2 WHERE section = 'floor'`, `UPDATE tickets SET state = 'void' WHERE order_id = %s`)
	w.in.View, w.in.Feed = nil, nil // Redis still has it as sold
}

func (w *world) report() *onsale.AuditReport {
	w.t.Helper()
	audit := func() (*onsale.AuditReport, error) { return w.Audit(w.t.Context(), w.in) }
	if w.tx != nil {
		audit = func() (*onsale.AuditReport, error) {
			return w.auditWith(w.t.Context(), w.in, func(ctx context.Context, f func(context.Context, pgx.Tx) error) error { return f(ctx, w.tx) })
		}
	}
	r, err := audit()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
