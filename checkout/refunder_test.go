package checkout

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/holds"
)

// treasury is a payment provider that pays back, and answers as it likes. What it has paid
// back is by id: an id that is asked for again is never paid twice.
type treasury struct {
	mu      sync.Mutex
	paid    map[onsale.RefundID]int64                                  // under mu
	asked   int                                                        // under mu
	behaves func(n int, r onsale.Refund) (onsale.RefundOutcome, error) // the n-th question; an error comes after it was paid
}

func (p *treasury) Refund(_ context.Context, r onsale.Refund) (onsale.RefundResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	outcome, err := p.behaves(p.asked, r)
	if outcome == onsale.RefundMade {
		p.paid[r.ID] = r.Amount
	}
	return onsale.RefundResult{ID: r.ID, Outcome: outcome, Reference: "re_1", Reason: "no", At: time.Now()}, err
}

// LookUpRefund says what behaves says of it, without paying.
func (p *treasury) LookUpRefund(_ context.Context, r onsale.Refund) (onsale.RefundResult, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	outcome, err := p.behaves(p.asked, r)
	return onsale.RefundResult{ID: r.ID, Outcome: outcome, Reference: "re_1", Reason: "sent back"}, outcome != "", err
}

// ledger is a book of refunds with one order's in it, which fails where a test says.
type ledger struct {
	mu                sync.Mutex
	due               *onsale.DueRefund // under mu; nil when it is done with
	free              bool              // under mu: no worker has it
	news              *onsale.OrderNews
	ended             []onsale.RefundOutcome // under mu: how it was ended, repeats included
	putBack           int                    // under mu
	failEnd, failTold int                    // under mu: how often these fail, after having been done
	stood             int                    // under mu: how often it still stood when it was looked at
	failed            string                 // under mu: why it has failed
}

var errCut = errors.New("the line was cut")

func (b *ledger) TakeRefunds(context.Context, int, time.Duration) ([]onsale.DueRefund, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.due == nil || !b.free {
		return nil, nil
	}
	b.free = false
	b.due.Attempts++
	return []onsale.DueRefund{*b.due}, nil
}

func (b *ledger) EndRefund(_ context.Context, result onsale.RefundResult) (*onsale.OrderNews, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = append(b.ended, result.Outcome)
	if b.due.Result == nil {
		b.due.Result = &result
	}
	if b.failEnd--; b.failEnd >= 0 {
		return nil, errCut
	}
	if b.due.Result.Outcome == onsale.RefundRefused {
		b.due = nil
		return nil, nil
	}
	return b.news, nil
}

func (b *ledger) PutRefundBack(context.Context, onsale.RefundID, time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = true
	b.putBack++
	return nil
}

func (b *ledger) RefundTold(context.Context, onsale.RefundID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failTold--; b.failTold >= 0 {
		return errCut
	}
	b.due = nil
	return nil
}

func (b *ledger) RefundStands(context.Context, onsale.RefundID, int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = true // it comes again
	b.stood++
	return nil
}

func (b *ledger) RefundFailed(_ context.Context, _ onsale.RefundID, why string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due, b.failed = nil, why
	return nil
}

func (b *ledger) done() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.due == nil
}

// office is a refunder on real Redis and Kafka, with a ticketed order of two seats of which
// one is to be paid back.
type office struct {
	*hall
	*line
	*Refunder
	t    *testing.T
	hold onsale.Hold
	book *ledger
	bank *treasury
	set  *metrics.Set
}

func newOffice(t *testing.T, behaves func(n int, r onsale.Refund) (onsale.RefundOutcome, error)) *office {
	t.Helper()
	o := &office{hall: newHall(t), line: newLine(t), t: t, set: metrics.NewSet(),
		bank: &treasury{paid: map[onsale.RefundID]int64{}, behaves: behaves}}
	o.hold = o.hall.hold(o.layout, alice, stand("A-1", "A-2"))
	sold := news(o.hold, onsale.OrderTicketed)
	if err := o.desk.Settle(t.Context(), o.layout, []holds.Settlement{settlementOf(&sold)}); err != nil {
		t.Fatal(err)
	}
	part := sold
	part.Left = []onsale.Line{{Section: "stand", Quantity: 1, Seats: []string{"A-2"}}}
	o.book = &ledger{free: true, news: &part, due: &onsale.DueRefund{Refund: onsale.Refund{ID: onsale.NewRefundID(), Order: part.Order, Event: part.Event,
		Reference: "ch_1", Amount: 8000, Currency: "EUR"}}}
	o.Refunder = NewRefunder(RefunderConfig{Book: o.book, Provider: o.bank, Desk: o.desk, Layouts: o.find, Producer: o.producer, Metrics: o.set, Log: quiet()})
	o.every, o.backoff.First = time.Millisecond, time.Millisecond
	return o
}

// pay runs the refunder until the refund is done with.
func (o *office) pay() {
	o.t.Helper()
	if err := o.Refunder.Start(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, "the refund is done with", o.book.done)
	stop(o.t, o.Refunder.Stop)
	stop(o.t, o.Refunder.Stop) // twice is fine
}

func (o *office) wantPaidOnce() {
	o.t.Helper()
	if len(o.bank.paid) != 1 {
		o.t.Errorf("paid back %v", o.bank.paid)
	}
	if c := o.counts("stand"); c != (onsale.Counts{Available: 9, Sold: 1}) {
		o.t.Errorf("stand %+v", c)
	}
	if told := read[onsale.OrderNews](o.line, onsale.TopicOrders, 1); len(told[0].Left) != 1 || told[0].State != onsale.OrderTicketed {
		o.t.Errorf("told %+v", told)
	}
}

func TestRefundIsMadeSettledAndToldWhateverTheProviderDoes(t *testing.T) {
	t.Parallel()
	for name, behaves := range map[string]func(n int, r onsale.Refund) (onsale.RefundOutcome, error){
		"answers": func(int, onsale.Refund) (onsale.RefundOutcome, error) { return onsale.RefundMade, nil },
		"is cut off after it has paid, thrice": func(n int, _ onsale.Refund) (onsale.RefundOutcome, error) {
			if n <= 3 {
				return onsale.RefundMade, errCut
			}
			return onsale.RefundMade, nil
		},
		"doesn't know at first": func(n int, _ onsale.Refund) (onsale.RefundOutcome, error) {
			if n <= 2 {
				return "", nil
			}
			return onsale.RefundMade, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, behaves)
			o.pay()
			o.wantPaidOnce()
		})
	}
}

func TestRefundIsToldInTheEndWhereverItsWorkerDies(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(o *office){
		"after the end is written": func(o *office) { o.book.failEnd = 2 },
		"after all were told":      func(o *office) { o.book.failTold = 2 },
		"after both":               func(o *office) { o.book.failEnd, o.book.failTold = 1, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, func(int, onsale.Refund) (onsale.RefundOutcome, error) { return onsale.RefundMade, nil })
			spoil(o)
			o.pay()
			o.wantPaidOnce()
			if o.bank.asked != 1 {
				t.Errorf("what is in the book was asked for %d times", o.bank.asked)
			}
		})
	}
}

func TestRefundWaitsForStockThatIsBeingLaid(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(int, onsale.Refund) (onsale.RefundOutcome, error) { return onsale.RefundMade, nil })
	gala := o.announce("gala")
	o.beginLaying(gala)
	hold := onsale.Hold{ID: onsale.NewHoldID("gala", 0), Event: "gala", Buyer: alice, Lines: o.hold.Lines}
	part := news(hold, onsale.OrderTicketed)
	part.Left = o.book.news.Left
	o.book.news = &part
	if err := o.Refunder.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was tried in vain", func() bool {
		o.book.mu.Lock()
		defer o.book.mu.Unlock()
		return o.book.putBack > 1
	})
	if o.book.done() {
		t.Error("it is done with, and Redis doesn't know")
	}
	// The claims were read before the refund dropped one.
	if err := o.desk.FinishRebuild(t.Context(), gala, 1, onsale.SaleOpen, []holds.Kept{{Hold: hold.ID, Buyer: alice, Sold: true, Lines: hold.Lines}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refund is done with", o.book.done)
	stop(t, o.Refunder.Stop)
	stock, err := o.desk.Stock(t.Context(), gala)
	if err != nil {
		t.Fatal(err)
	}
	if c := stock.Counts[gala.Section("stand").Index]; c != (onsale.Counts{Available: 9, Sold: 1}) {
		t.Errorf("stand %+v", c)
	}
}

func TestRefusedRefundChangesNothingAndIsCounted(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(int, onsale.Refund) (onsale.RefundOutcome, error) { return onsale.RefundRefused, nil })
	o.pay()
	if c := o.counts("stand"); c != (onsale.Counts{Available: 8, Sold: 2}) || o.records(onsale.TopicOrders) != 0 || len(o.bank.paid) != 0 {
		t.Errorf("stand %+v, paid %v", c, o.bank.paid)
	}
	if n := o.set.GetOrCreateCounter(`onsale_refunds_total{outcome="refused"}`).Get(); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
}

func TestRefundThatWasMadeIsLookedAtUntilItFailsAndPaysNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(n int, _ onsale.Refund) (onsale.RefundOutcome, error) {
		switch n {
		case 1:
			return "", errCut
		case 2:
			return "", nil // it doesn't know it
		case 3:
			return onsale.RefundMade, nil
		}
		return onsale.RefundRefused, nil
	})
	o.book.due.Told, o.book.due.Result = true, &onsale.RefundResult{ID: o.book.due.ID, Outcome: onsale.RefundMade}
	o.pay()
	if o.book.putBack != 1 || o.book.stood != 2 || o.book.failed != "sent back" || len(o.bank.paid)+len(o.book.ended) != 0 || o.records(onsale.TopicOrders) != 0 {
		t.Errorf("put back %d times, stood %d times, failed with %q; paid %v, ended %v", o.book.putBack, o.book.stood, o.book.failed, o.bank.paid, o.book.ended)
	}
	for outcome, want := range map[string]uint64{"unknown": 1, "not_found": 1, "failed": 1, "made": 0} {
		if n := o.set.GetOrCreateCounter(`onsale_refunds_total{outcome="` + outcome + `"}`).Get(); n != want {
			t.Errorf("%d %s are counted, want %d", n, outcome, want)
		}
	}
}

func TestWhatCostNothingIsPaidBackWithoutAsking(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(int, onsale.Refund) (onsale.RefundOutcome, error) { return "", errCut })
	o.book.due.Amount = 0
	o.pay()
	if o.bank.asked != 0 || len(o.book.ended) != 1 || o.book.ended[0] != onsale.RefundMade {
		t.Errorf("asked %d times, ended %v", o.bank.asked, o.book.ended)
	}
}
