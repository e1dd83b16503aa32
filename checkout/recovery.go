package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/errgroup"

	"onsale"
	"onsale/holds"
	"onsale/internal/lifecycle"
)

const (
	// recoverEvery is how often pins are looked into.
	recoverEvery = 15 * time.Second
	// recoverMost is how many pins are looked into at once.
	recoverMost = 1000
	// recoverTimeout bounds one round: events that it didn't come to are the next one's first.
	recoverTimeout = 60 * time.Second
	// recoverEventTime bounds what one event may take of it, and recoverAtOnce how many are
	// looked into at once: who has a dead shard holds up itself.
	recoverEventTime = 15 * time.Second
	recoverAtOnce    = 8
)

// RecoveryConfig says whom recovery asks.
type RecoveryConfig struct {
	Desk   *holds.Desk
	Events func() []*onsale.Layout
	// Drained returns nil once every purchase that was in Kafka when it was called
	// has been claimed or rejected in Postgres.
	Drained func(ctx context.Context) error
	// Orders returns those of the orders that Postgres has.
	Orders func(ctx context.Context, ids []onsale.OrderID) (map[onsale.OrderID]onsale.Order, error)
	// Tell produces news to the orders' topic.
	Tell    func(ctx context.Context, news ...onsale.OrderNews) error
	Metrics *metrics.Set // default: one that nobody reads
	Log     *slog.Logger
}

// Recovery finds the pins that a crash left without an order, and frees them; and
// those whose order has ended without Redis being told, and settles them: since nobody
// may have been told, their news are produced again. It never guesses: a pin is freed only when it is old, every purchase in Kafka has
// reached Postgres, there is no order, and nobody has pinned it again since. Should
// a purchase arrive after all that, its order is claimed if it can be, and Redis
// follows when it is confirmed.
type Recovery struct {
	cfg        RecoveryConfig
	every, age time.Duration // recoverEvery and onsale.OrphanAge, except in tests
	most       int64         // recoverMost, except in tests
	group      lifecycle.Group

	mu     sync.Mutex
	looked map[onsale.EventID]look // under mu
}

// look is the last time that an event was looked into.
type look struct {
	at     time.Time
	failed bool
}

// NewRecovery returns a recovery that has not started.
func NewRecovery(cfg RecoveryConfig) *Recovery {
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	for _, kind := range []string{orphanPin, lostNews} {
		reconciled(cfg.Metrics, kind, 0)
	}
	return &Recovery{cfg: cfg, every: recoverEvery, age: onsale.OrphanAge, most: recoverMost}
}

// Start begins to look, every recoverEvery.
func (r *Recovery) Start(ctx context.Context) error {
	r.group.Go(ctx, func(ctx context.Context) {
		lifecycle.Every(ctx, r.every, func(ctx context.Context) {
			if err := r.round(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Log.Warn("recovery of pins failed; it is tried again", "error", err)
			}
		})
	})
	return nil
}

// Stop ends a round under way and returns.
func (r *Recovery) Stop(ctx context.Context) error { return r.group.Stop(ctx) }

// round looks into every hold that was pinned longer ago than the age, event by event.
func (r *Recovery) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	events := r.inTurn(r.cfg.Events())
	errs := make([]error, len(events))
	var looking errgroup.Group // its functions return no errors
	looking.SetLimit(recoverAtOnce)
	for i, l := range events {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("%d of %d events are left for the next round: %w", len(events)-i, len(events), ctx.Err()))
			break
		}
		looking.Go(func() error { errs[i] = r.lookInto(ctx, l); return nil })
	}
	_ = looking.Wait() // the functions above return no error
	return errors.Join(errs...)
}

// inTurn returns the events in the order in which they are looked into: those that failed
// the last time after the others, and of both those first whose last time was longest ago.
func (r *Recovery) inTurn(events []*onsale.Layout) []*onsale.Layout {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make(map[onsale.EventID]look, len(events)) // those that are gone are forgotten
	for _, l := range events {
		known[l.Event.ID] = r.looked[l.Event.ID]
	}
	r.looked = known
	return slices.SortedStableFunc(slices.Values(events), func(a, b *onsale.Layout) int {
		x, y := known[a.Event.ID], known[b.Event.ID]
		if x.failed != y.failed {
			if x.failed {
				return 1
			}
			return -1
		}
		return x.at.Compare(y.at)
	})
}

// lookInto looks into one event, and notes that it did.
func (r *Recovery) lookInto(ctx context.Context, l *onsale.Layout) error {
	ctx, cancel := context.WithTimeout(ctx, recoverEventTime)
	defer cancel()
	err := r.recover(ctx, l)
	r.mu.Lock()
	r.looked[l.Event.ID] = look{at: time.Now(), failed: err != nil}
	r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("recover %s: %w", l.Event.ID, err)
	}
	return nil
}

// recover looks into an event's pins, a portion at a time. Those that stay where they
// are, or may, are passed over: what is being decided, and what is owed. If an owed
// one is healed, as many others are passed over with it, until the next round.
func (r *Recovery) recover(ctx context.Context, l *onsale.Layout) error {
	for skip := int64(0); ; {
		pins, err := r.cfg.Desk.Pins(ctx, l.Event.ID, r.age, skip, r.most)
		if err != nil || len(pins) == 0 {
			return err
		}
		// After the pins were read: a purchase of theirs that is in Kafka is in Postgres then.
		if err := r.cfg.Drained(ctx); err != nil {
			return fmt.Errorf("wait for the purchases in Kafka: %w", err)
		}
		stay, err := r.settle(ctx, l, pins)
		if err != nil || int64(len(pins)) < r.most {
			return err
		}
		skip += stay
	}
}

// settle settles the holds of orders that have ended or never were, and returns
// how many may still be pins after it.
func (r *Recovery) settle(ctx context.Context, l *onsale.Layout, pins []holds.Pinned) (stay int64, err error) {
	ids := make([]onsale.OrderID, len(pins))
	for i, p := range pins {
		ids[i] = p.Hold.Order()
	}
	orders, err := r.cfg.Orders(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("read the orders of pins: %w", err)
	}
	var settlements []holds.Settlement
	var untold []onsale.OrderNews
	orphans := int64(0)
	for i, p := range pins {
		order, exists := orders[ids[i]]
		if exists && !order.State.Final() {
			stay++
			continue
		}
		owed := p.At.IsZero()
		switch {
		case owed:
			stay++
		case exists:
			untold = append(untold, order.News())
		default:
			orphans++
		}
		settlement := holds.Settlement{Hold: p.Hold, Buyer: p.Buyer}
		if exists {
			news := order.News()
			settlement = settlementOf(&news)
		}
		settlement.PinnedAt = p.At
		settlements = append(settlements, settlement)
		r.cfg.Log.Warn("a pin was left behind; it is settled", "hold", p.Hold, "order exists", exists, "state", order.State)
	}
	if len(settlements) == 0 {
		return stay, nil
	}
	if err := r.cfg.Tell(ctx, untold...); err != nil {
		return stay, fmt.Errorf("tell the news of %d orders again: %w", len(untold), err)
	}
	if err := r.cfg.Desk.Settle(ctx, l, settlements); err != nil {
		return stay, err
	}
	reconciled(r.cfg.Metrics, orphanPin, orphans)
	reconciled(r.cfg.Metrics, lostNews, int64(len(untold)))
	return stay, nil
}
