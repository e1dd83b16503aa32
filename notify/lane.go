package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"

	"onsale"
)

// The bounds of a lane. A lease outlives the slowest batch: what is not begun when it has
// run for a while is given back, and one begun last ends by sendTimeout.
const (
	laneWidth   = 6 // sends at once
	laneBatch   = 4 * laneWidth
	sendTimeout = 15 * time.Second // one send
	batchTime   = 60 * time.Second // nothing of a batch is begun later
	lease       = 2 * time.Minute
	// stopGrace is how much longer what is being sent may take when the part stops.
	stopGrace = 5 * time.Second
	// endTime bounds how long writing a batch's outcomes down may take, with its repeats.
	endTime = 10 * time.Second
)

// The breaker of a lane: half of what was tried in a minute failed, then half a minute of
// rest, then one attempt to see. The window is longer than a send takes to time out.
const (
	breakerWindow = 60 * time.Second
	breakerBucket = 10 * time.Second
	breakerRest   = 30 * time.Second
	breakerCount  = 5 // attempts before it judges
)

// sender brings one delivery to a lane's receiver. nil means that it was taken. An error
// that is no *failure is the receiver's.
type sender interface {
	send(ctx context.Context, d onsale.Delivery) error
	// rest is called when nothing is due for a moment: connections may go.
	rest()
}

// lane is one receiver's. Its goroutine, of which there is one at the most, takes what is
// due, sends it, and writes down what came of it, until nothing is due.
type lane struct {
	name    onsale.Lane
	book    Book
	meters  *meters
	log     *slog.Logger
	breaker *gobreaker.CircuitBreaker[struct{}]
	busy    atomic.Bool // the goroutine runs
	sender  sender      // of the goroutine; of the dispatcher while there is none
}

func newLane(name onsale.Lane, book Book, m *meters, log *slog.Logger) *lane {
	l := &lane{name: name, book: book, meters: m, log: log.With("lane", string(name))}
	l.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name: string(name), MaxRequests: 1, Interval: breakerWindow, BucketPeriod: breakerBucket, Timeout: breakerRest,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.Requests >= breakerCount && 2*c.TotalFailures >= c.Requests },
		// That a receiver refuses one delivery says that it is well.
		IsSuccessful: func(err error) bool { return err == nil || !failureOf(err).down },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) }, // we stop
		OnStateChange: func(_ string, from, to gobreaker.State) {
			l.log.Warn("breaker", "from", from.String(), "to", to.String())
		},
	})
	return l
}

// room is how many deliveries may be taken now: none while the breaker rests, so that
// waiting for a dead receiver uses up no attempts.
func (l *lane) room() int {
	switch l.breaker.State() {
	case gobreaker.StateOpen:
		return 0
	case gobreaker.StateHalfOpen:
		return 1
	default:
		return laneBatch
	}
}

func (l *lane) work(ctx context.Context) {
	defer l.busy.Store(false)
	defer l.sender.rest()
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	defer stop()
	for ctx.Err() == nil {
		room := l.room()
		if room == 0 {
			return
		}
		taken, err := l.book.TakeDeliveries(ctx, l.name, room, lease)
		if err != nil {
			if ctx.Err() == nil {
				l.log.Warn("can't take deliveries; it is tried again", "error", err)
			}
			return
		}
		if len(taken) == 0 {
			return
		}
		outcomes, gone := l.sendAll(ctx, sending, taken)
		l.end(sending, outcomes, gone)
	}
}

// sendAll sends what was taken, laneWidth at once. Nothing is begun once ctx has ended.
func (l *lane) sendAll(ctx, sending context.Context, taken []onsale.Delivery) (outcomes []onsale.DeliveryOutcome, gone string) {
	begun, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	outcomes = make([]onsale.DeliveryOutcome, len(taken))
	errs := make([]error, len(taken))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(laneWidth, len(taken)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(taken); i = int(next.Add(1)) - 1 {
				outcomes[i] = untried(taken[i])
				if begun.Err() == nil {
					outcomes[i], errs[i] = l.attempt(sending, taken[i])
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil && failureOf(err).gone {
			gone = err.Error()
		}
	}
	return outcomes, gone
}

func (l *lane) attempt(ctx context.Context, d onsale.Delivery) (onsale.DeliveryOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	_, err := l.breaker.Execute(func() (struct{}, error) { return struct{}{}, l.sender.send(ctx, d) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return untried(d), nil
	}
	o := outcomeOf(d, err)
	l.meters.ended(l.name.Channel(), o)
	switch o.State {
	case onsale.DeliveryDead:
		l.log.Error("a delivery is given up; onsale notify replay queues it again", "delivery", d.ID, "order", d.Order, "attempts", d.Attempts, "error", o.Error)
	case onsale.DeliveryQueued:
		l.log.Info("a delivery is tried again", "delivery", d.ID, "attempts", d.Attempts, "after", o.After.Round(time.Second), "error", o.Error)
	}
	return o, err
}

// end writes the outcomes down, for a bounded time however often that must be tried: what
// can't be written is sent again when its lease has ended.
func (l *lane) end(ctx context.Context, outcomes []onsale.DeliveryOutcome, gone string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := l.book.EndDeliveries(ctx, outcomes)
		if err == nil && gone != "" {
			err = l.book.DisableWebhook(ctx, onsale.WebhookID(l.name), tidy(gone))
			if onsale.CodeOf(err) == onsale.CodeUnknownWebhook {
				err = nil // deleted meanwhile
			}
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(endTime))
	if err != nil {
		l.log.Error("what came of deliveries can't be written down; they are sent again", "deliveries", len(outcomes), "error", err)
	}
	if gone != "" {
		l.log.Error("a webhook wants nothing more and is disabled", "error", gone)
	}
}
