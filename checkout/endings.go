package checkout

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"onsale"
	"onsale/holds"
	"onsale/internal/crashpoint"
	"onsale/internal/lifecycle"
)

// endings are the ended orders of one event in a batch of news.
type endings struct {
	layout *onsale.Layout
	news   []onsale.OrderNews
}

// tellAll settles events side by side, and returns those that it could not, whose news
// must be kept: those that skip names, and those whose stock has not taken them by the
// deadline or doesn't answer.
func (c *Confirmer) tellAll(ctx context.Context, byEvent map[onsale.EventID]*endings, skip func(onsale.EventID) bool, deadline time.Time) (unsettled []*endings) {
	var mu sync.Mutex          // of unsettled
	var telling errgroup.Group // its functions return no errors
	telling.SetLimit(confirmAtOnce)
	for id, e := range byEvent {
		telling.Go(func() error {
			told := !skip(id) && c.tell(ctx, e, deadline)
			mu.Lock()
			defer mu.Unlock()
			if !told {
				unsettled = append(unsettled, e)
			}
			return nil
		})
	}
	_ = telling.Wait() // the functions above return no error
	return unsettled
}

// tell settles an event's holds; if its stock is being laid anew, until the deadline. It
// reports whether they are settled. Whatever the error, it is this event's alone: others
// must not wait until it is mended.
func (c *Confirmer) tell(ctx context.Context, e *endings, deadline time.Time) bool {
	crashpoint.Reach(crashpoint.BeforeTellingRedis)
	settlements := make([]holds.Settlement, len(e.news))
	for i := range e.news {
		settlements[i] = settlementOf(&e.news[i])
	}
	id := e.layout.Event.ID
	for {
		err := c.cfg.Desk.Settle(ctx, e.layout, settlements)
		if err == nil {
			c.away.back(id)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if onsale.CodeOf(err) != onsale.CodeRecovering || time.Now().After(deadline) {
			if c.away.gone(id) {
				c.cfg.Log.Warn("an event's stock can't be told how orders ended; it is told later", "event", id, "orders", len(e.news), "error", err)
			}
			return false
		}
		lifecycle.Pause(ctx, confirmPause)
	}
}

const (
	// awayFor is how long an event that could not be told is not tried again by who follows the news.
	awayFor = time.Minute
	// awayJust is how long it is not tried again at all.
	awayJust = 5 * time.Second
)

// away remembers events whose stock could not be told, so that each is waited for once in
// a while, not with every batch. The zero value is ready.
type away struct {
	mu    sync.Mutex
	tried map[onsale.EventID]time.Time // under mu: when last; of those that could not be told
}

// gone notes that an event could not be told. It reports whether that is new.
func (a *away) gone(id onsale.EventID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tried == nil {
		a.tried = map[onsale.EventID]time.Time{}
	}
	_, known := a.tried[id]
	a.tried[id] = time.Now()
	return !known
}

// back notes that it could.
func (a *away) back(id onsale.EventID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tried, id)
}

// lately reports whether the event was away in the last awayFor, and has not come back.
func (a *away) lately(id onsale.EventID) bool { return a.within(id, awayFor) }

// just reports the same of awayJust.
func (a *away) just(id onsale.EventID) bool { return a.within(id, awayJust) }

func (a *away) within(id onsale.EventID, span time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, known := a.tried[id]
	return known && time.Since(at) < span
}
