package holds

import (
	"context"
	"sync"
	"time"

	"onsale"
	"onsale/internal/lifecycle"
)

// deliverEvery is how often a process looks whether stock is under way between stripes
// that should have arrived: who sent it may be dead.
const deliverEvery = time.Second

// whole is this process's view of a striped event: the sum of what the mirrors of its
// stripes tell. While they are not all of one epoch it keeps the last sum, in doubt.
type whole struct {
	desk    *Desk
	layout  *onsale.Layout
	stripes []*mirror

	// Taken after a mirror's, never before it.
	mu        sync.Mutex
	stocks    []*onsale.Stock // under mu: the stripes'; nil until they are known
	stock     *onsale.Stock   // under mu: their sum; nil until all are known
	soldOut   soldOutAnswers  // under mu
	listeners audience        // under mu
}

// whole returns the event's, or begins it. The caller has mu.
func (m *Mirrors) whole(l *onsale.Layout) *whole {
	w := m.wholes[l.Event.ID]
	if w == nil {
		books := booksOf(l.Event)
		w = &whole{desk: m.desk, layout: l, stocks: make([]*onsale.Stock, len(books)), listeners: audience{}}
		for _, id := range books {
			mi := m.newMirror(l, id)
			mi.watch(&stripeListener{w, id.stripe})
			w.stripes = append(w.stripes, mi)
		}
		m.wholes[l.Event.ID] = w
		for _, mi := range w.stripes {
			mi.begin()
		}
		m.group.Go(context.Background(), func(ctx context.Context) { w.deliver(ctx, m) })
	}
	return w
}

func (w *whole) watch(l Listener) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stock != nil {
		l.Reset(w.stock)
	}
	return w.listeners.add(&w.mu, l)
}

func (w *whole) look(f func(*onsale.Stock)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stock == nil {
		return false
	}
	f(w.stock)
	return true
}

// says looks at every stripe: two operators at once may have left them in disagreement.
func (w *whole) says(sale onsale.Sale) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stock := range w.stocks {
		if !saysSale(stock, sale) {
			return false
		}
	}
	return true
}

// stripeListener hears what the mirror of one stripe tells.
type stripeListener struct {
	whole  *whole
	stripe int
}

// Reset implements Listener.
func (s *stripeListener) Reset(stock *onsale.Stock) {
	w := s.whole
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stocks[s.stripe] = stock.Clone()
	w.reset()
}

// Delta implements Listener.
func (s *stripeListener) Delta(d *onsale.Delta) {
	w := s.whole
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stocks[s.stripe].Apply(d) // it is the next one: mirrors tell no other
	if w.stock == nil || w.stock.Sale == onsale.SaleRecovering {
		w.reset() // its doubt may be over
		return
	}
	sum := &onsale.Delta{Epoch: d.Epoch, Seq: w.stock.Seq + 1, At: d.At, Sale: w.stocks[0].Sale, NextDue: nextDueOf(w.stocks),
		Counts: make(map[int]onsale.Counts, len(d.Counts))}
	if w.stock.At.After(sum.At) {
		sum.At = w.stock.At
	}
	for section := range d.Counts {
		sum.Counts[section] = sumOfCounts(w.layout, section, w.stocks)
	}
	w.stock.Apply(sum)
	w.listeners.delta(sum)
}

// reset adds the stripes up anew. The caller has mu.
func (w *whole) reset() {
	for _, s := range w.stocks {
		if s == nil {
			return
		}
	}
	sum := sumOf(w.layout, w.stocks)
	for _, s := range w.stocks {
		if s.Epoch == sum.Epoch {
			continue
		}
		if w.stock == nil || w.stock.Sale == onsale.SaleRecovering {
			return
		}
		sum = w.stock.Clone() // the best it has, until all are of one epoch
		sum.Sale = onsale.SaleRecovering
		break
	}
	w.stock = sum
	w.listeners.reset(sum)
}

// turnAway refuses only if what is known of every stripe is current.
func (w *whole) turnAway(r *Request, id onsale.HoldID) error {
	if w.short(r) == nil {
		return nil
	}
	now, home := time.Now(), homeOf(w.layout.Event, r.Buyer).stripe
	for i, mi := range w.stripes {
		mi.mu.Lock()
		ask := !mi.isCurrent(now) || i == home && mi.mayHaveGranted(r, id)
		mi.mu.Unlock()
		if ask {
			return nil
		}
	}
	return w.short(r)
}

// short refuses who wants more of a section than there is; nil if nobody knows of one.
func (w *whole) short(r *Request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stock == nil || w.stock.Sale != onsale.SaleOpen {
		return nil
	}
	section, left := short(w.stock, r.Asks)
	if section == nil {
		return nil
	}
	return w.soldOut.refusal(w.layout, w.stock, r.Asks, section, left)
}

// deliver sees to it that what is under way between stripes arrives, whoever has sent it.
func (w *whole) deliver(ctx context.Context, m *Mirrors) {
	lifecycle.Every(ctx, deliverEvery, func(context.Context) {
		for _, section := range w.missing() {
			if err := w.desk.deliverAll(w.layout, section); err != nil {
				m.log.Debug("stock under way not delivered; it is tried again", "event", w.layout.Event.ID, "error", err)
			}
		}
	})
}

// missing are the sections of which the stripes together have less than there is.
func (w *whole) missing() (sections []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stock == nil || w.stock.Sale == onsale.SaleRecovering {
		return nil
	}
	for i, s := range w.layout.Sections() {
		total := int64(0)
		for _, stock := range w.stocks {
			total += stock.Counts[i].Total()
		}
		if total < s.Capacity {
			sections = append(sections, i)
		}
	}
	return sections
}
