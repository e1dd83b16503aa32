package holds

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/internal/lifecycle"
)

const (
	// inboxSize is how many published deltas may wait for a mirror. When it is full
	// the mirror reads the whole stock instead.
	inboxSize = 512
	// checkEvery is how often a mirror asks Redis whether it has missed something:
	// a subscription can be dead without saying so. Of many each asks less often; see pace.go.
	checkEvery = time.Second
	// sweepJitter spreads the processes' sweeps: the first makes the others needless.
	sweepJitter = 20 * time.Millisecond
	// sweepPause is the least time between two sweeps of a process.
	sweepPause = 20 * time.Millisecond
	// resubscribePause is how long to wait after a subscription broke.
	resubscribePause = 100 * time.Millisecond
)

// Listener is told how an event's stock changes. Its calls never overlap and are
// in order. They must not block, nor keep or change what they are given, nor call
// the mirrors.
type Listener interface {
	Reset(*onsale.Stock) // the whole: at first, after every gap or new epoch, and when doubt begins or ends
	Delta(*onsale.Delta) // the next change
}

// Mirrors keeps this process's own view of every event it was asked about, by
// folding the deltas that Redis publishes, and sweeps what expires when nobody
// asks. Every process does both; none leads.
type Mirrors struct {
	desk    *Desk
	onAmiss func(onsale.EventID)
	log     *slog.Logger
	rungs   []*rung // where to read, nearest first; the last is the master
	group   lifecycle.Group
	pace    pace

	mu      sync.Mutex
	mirrors map[onsale.EventID]*mirror // under mu; of events that are in one book
	wholes  map[onsale.EventID]*whole  // under mu; of striped events
}

// view is one event's: a mirror, or the whole that a striped event's mirrors make up.
type view interface {
	watch(Listener) (stop func())
	look(func(*onsale.Stock)) bool
	turnAway(*Request, onsale.HoldID) error // see Mirrors.refuse
	says(onsale.Sale) bool                  // see Mirrors.SaleIs
}

// NewMirrors returns the mirrors of a desk's events. The subscriber is a client of
// its own, so that messages and calls don't wait for each other. onAmiss is told,
// again and again, while the stock of a mirrored event is not whole; see Condition.
func NewMirrors(desk *Desk, subscriber rueidis.Client, onAmiss func(onsale.EventID), log *slog.Logger) *Mirrors {
	m := &Mirrors{desk: desk, onAmiss: onAmiss, log: log,
		rungs:   []*rung{masterRung(desk, subscriber)},
		mirrors: map[onsale.EventID]*mirror{}, wholes: map[onsale.EventID]*whole{}}
	desk.mirrors.Store(m)
	return m
}

// ReadFrom has mirrors read where the ladder leads, which may lag behind by up to two
// seconds, instead of at the master. Called before the first Watch or View; the ladder
// must run for as long as the mirrors do.
func (m *Mirrors) ReadFrom(l *Ladder) {
	m.rungs = append(l.rungs[:len(l.rungs):len(l.rungs)], m.rungs...)
}

// Start implements lifecycle.Part. Mirrors begin when they are first asked for.
func (m *Mirrors) Start(context.Context) error { return nil }

// Stop ends every mirror.
func (m *Mirrors) Stop(ctx context.Context) error { return m.group.Stop(ctx) }

// Watch tells the listener of the event from now on: Reset as soon as the stock is
// known, then Delta. stop ends it, and waits for a call under way.
func (m *Mirrors) Watch(_ context.Context, l *onsale.Layout, listener Listener) (stop func(), err error) {
	return m.view(l).watch(listener), nil
}

// View calls f with the event's stock as this process knows it, and keeps it from
// changing meanwhile. It returns false, without calling f, if it is not known yet.
func (m *Mirrors) View(l *onsale.Layout, f func(*onsale.Stock)) bool {
	return m.view(l).look(f)
}

// SaleIs reports whether all of the event's books say that the sale is so, as far as this
// process knows them: one that is being laid anew will.
func (m *Mirrors) SaleIs(l *onsale.Layout, sale onsale.Sale) bool {
	return m.view(l).says(sale)
}

func (mi *mirror) says(sale onsale.Sale) bool {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	return saysSale(mi.stock, sale)
}

func saysSale(stock *onsale.Stock, sale onsale.Sale) bool {
	return stock == nil || stock.Sale == sale || stock.Sale == onsale.SaleRecovering
}

// view returns the event's, and begins it if it is the first to be asked for.
func (m *Mirrors) view(l *onsale.Layout) view {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Event.Striped() {
		return m.whole(l)
	}
	return m.mirror(l)
}

// begun returns the event's view, nil if nobody has asked for it.
func (m *Mirrors) begun(event onsale.EventID) view {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mi := m.mirrors[event]; mi != nil {
		return mi
	}
	if w := m.wholes[event]; w != nil {
		return w
	}
	return nil
}

// mirror returns the event's, or begins it. The caller has mu.
func (m *Mirrors) mirror(l *onsale.Layout) *mirror {
	mi := m.mirrors[l.Event.ID]
	if mi == nil {
		mi = m.newMirror(l, bookID{event: l.Event.ID})
		m.mirrors[l.Event.ID] = mi
		mi.begin()
	}
	return mi
}

func (m *Mirrors) newMirror(l *onsale.Layout, id bookID) *mirror {
	return &mirror{owner: m, layout: l, book: id, batcher: m.desk.book(id, l.Event.Epoch), inbox: make(chan string, inboxSize),
		reload: make(chan struct{}, 1), listeners: audience{}}
}

// begin has the mirror follow its book.
func (mi *mirror) begin() {
	for _, part := range []func(context.Context){mi.listen, mi.keep, mi.run} {
		mi.owner.group.Go(context.Background(), part)
	}
}

// saw hears from the desk what a call's reply told.
func (m *Mirrors) saw(id bookID, seen sighting) {
	m.mu.Lock()
	mi := m.mirrors[id.event]
	if w := m.wholes[id.event]; w != nil {
		mi = w.stripes[id.stripe]
	}
	m.mu.Unlock()
	if mi == nil {
		return
	}
	mi.mu.Lock()
	defer mi.mu.Unlock()
	mi.grants.learn(seen.granted)
	seen.granted = nil
	if mi.sighted.note(seen) {
		mi.nextDue = seen.due
	}
}

// mirror is one book's.
type mirror struct {
	owner   *Mirrors
	layout  *onsale.Layout // the event's
	book    bookID
	batcher *batcher
	inbox   chan string   // published deltas, in order
	reload  chan struct{} // holds a token when the whole must be read
	footing footing

	mu        sync.Mutex
	stock     *onsale.Stock  // under mu; nil until first read
	nextDue   time.Time      // under mu
	sighted   sightings      // under mu
	grants    grantedIDs     // under mu
	soldOut   soldOutAnswers // under mu
	listeners audience       // under mu
}

func (mi *mirror) watch(l Listener) (stop func()) {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if mi.stock != nil {
		l.Reset(mi.stock)
	}
	return mi.listeners.add(&mi.mu, l)
}

func (mi *mirror) look(f func(*onsale.Stock)) bool {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if mi.stock == nil {
		return false
	}
	f(mi.stock)
	return true
}

// audience are those who are told of a stock. Whoever has the stock calls it under the
// stock's mutex.
type audience map[*Listener]Listener

// add returns what takes the listener out again, under mu.
func (a audience) add(mu *sync.Mutex, l Listener) (remove func()) {
	key := &l
	a[key] = l
	return func() {
		mu.Lock()
		defer mu.Unlock()
		delete(a, key)
	}
}

func (a audience) reset(s *onsale.Stock) {
	for _, l := range a {
		l.Reset(s)
	}
}

func (a audience) delta(d *onsale.Delta) {
	for _, l := range a {
		l.Delta(d)
	}
}

func (mi *mirror) askReload() {
	select {
	case mi.reload <- struct{}{}:
	default: // asked already
	}
}

func (mi *mirror) run(ctx context.Context) {
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-mi.reload:
			mi.read(ctx)
		case text := <-mi.inbox:
			mi.fold(ctx, text)
		case <-sweep.C:
			mi.sweep(ctx)
		}
		sweep.Reset(mi.untilDue())
	}
}

// untilDue is how long until the next sweep; the check covers what is further off.
func (mi *mirror) untilDue() time.Duration {
	mi.mu.Lock()
	due := mi.nextDue
	mi.mu.Unlock()
	if due.IsZero() {
		return checkEvery
	}
	return min(max(time.Until(due), sweepPause)+rand.N(sweepJitter), checkEvery)
}

func (mi *mirror) sweep(ctx context.Context) {
	mi.mu.Lock()
	due := !mi.nextDue.IsZero() && !mi.nextDue.After(time.Now())
	mi.mu.Unlock()
	if !due || ctx.Err() != nil {
		return
	}
	if err := mi.batcher.sweep(); err != nil {
		mi.owner.log.Debug("sweep failed; the next call reaps", "event", mi.layout.Event.ID, "error", err)
	}
}

func (mi *mirror) fold(ctx context.Context, text string) {
	d, granted, err := decodeDelta(mi.layout, text)
	if err != nil {
		mi.owner.log.Error("unreadable delta; the stock is read anew", "error", err)
		mi.read(ctx)
		return
	}
	mi.mu.Lock()
	known := mi.stock != nil
	before := uint64(0)
	if known {
		before = mi.stock.Seq
		if d.Epoch < mi.stock.Epoch {
			mi.mu.Unlock()
			return // from a rung that was behind; a Redis that has gone back is for check to tell
		}
	}
	ok := known && mi.stock.Apply(d)
	if ok && d.Seq > before {
		mi.nextDue = d.NextDue
		mi.grants.note(granted)
		mi.listeners.delta(d)
	}
	mi.mu.Unlock()
	if known && !ok {
		mi.read(ctx)
	}
}

// read takes the whole stock from where the mirror stands.
func (mi *mirror) read(ctx context.Context) {
	r := mi.owner.rungs[mi.footing.at()]
	stock, err := r.stock(ctx, mi.layout, mi.batcher.keys)
	if errors.Is(err, ErrAbsent) && r.master {
		mi.doubt()
		mi.owner.onAmiss(mi.layout.Event.ID)
		return
	}
	if err != nil {
		mi.owner.log.Warn("stock not read; the next check tries again", "event", mi.layout.Event.ID, "error", err)
		return
	}
	if stock.Sale == onsale.SaleRecovering { // nothing is laid yet
		mi.doubt()
		return
	}
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if k := mi.stock; k != nil && (stock.Epoch < k.Epoch || stock.Epoch == k.Epoch && stock.Seq <= k.Seq) {
		return // what is older is a reading that took long, or a Redis that has gone back: check tells
	}
	mi.stock, mi.nextDue = stock, stock.NextDue
	mi.grants.empty(mi.layout.Capacity() / int64(max(1, mi.layout.Event.Stripes)))
	mi.batcher.raise(stock.Epoch)
	mi.listeners.reset(stock)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
