package holds

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/internal/lifecycle"
)

const (
	// rungTimeout bounds one reading at a replica. One that takes longer is no help.
	rungTimeout = time.Second
	// redialEvery is how often a replica that can't be reached is tried.
	redialEvery = time.Second
	// climbEvery is how often a mirror looks whether it can go back to a nearer replica.
	climbEvery = 5 * time.Second
)

// Ladder is where mirrors read: replicas, nearest first, and below them the master.
// A mirror stands on one rung at a time. There it listens, and there it reads what it
// folds the deltas into, so that both come in one order: Redis hands messages on to
// replicas of replicas among the writes they tell of. From a rung that fails it steps
// to the next; the master is the last, and the judge of the others.
type Ladder struct {
	rungs []*rung
	log   *slog.Logger
	group lifecycle.Group
}

// NewLadder returns the ladder of replicas with these addresses, nearest first, in
// Connect's forms, each with its scheme, joined by commas. One server's address is that
// replica's; a cluster's or a Sentinel's stand for any replica of it.
func NewLadder(addresses string, log *slog.Logger) (*Ladder, error) {
	l := &Ladder{log: log}
	for _, address := range splitAddresses(addresses) {
		opt, err := options(address, "--redis-read")
		if err != nil {
			return nil, err
		}
		opt.DisableRetry = true // the next rung is the retry
		single := len(opt.InitAddress) == 1 && opt.Sentinel.MasterSet == ""
		opt.ForceSingleClient, opt.ReplicaOnly = single, !single
		l.rungs = append(l.rungs, &rung{name: strings.Join(opt.InitAddress, ","), opt: opt})
	}
	return l, nil
}

// splitAddresses splits at the commas that a scheme follows: the others join hosts.
func splitAddresses(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		switch {
		case part == "":
		case len(out) == 0 || strings.Contains(part, "://"):
			out = append(out, part)
		default:
			out[len(out)-1] += "," + part
		}
	}
	return out
}

// Start implements lifecycle.Part. It tries each replica once; those that can't be
// reached are tried until they are.
func (l *Ladder) Start(context.Context) error {
	var tried sync.WaitGroup
	for _, r := range l.rungs {
		tried.Go(func() {
			if err := r.dial(); err != nil {
				l.log.Warn("replica can't be reached; it is tried again", "replica", r.name, "error", err)
				l.group.Go(context.Background(), r.redial)
			}
		})
	}
	tried.Wait()
	return nil
}

// Stop implements lifecycle.Part. Mirrors stop first.
func (l *Ladder) Stop(ctx context.Context) error {
	err := l.group.Stop(ctx)
	for _, r := range l.rungs {
		if p := r.place.Swap(nil); p != nil {
			p.client.Close()
		}
	}
	return err
}

// rung is one place to read and to listen at.
type rung struct {
	name     string
	opt      rueidis.ClientOption
	place    atomic.Pointer[place] // nil until it was reached
	listener rueidis.Client        // nil: the place's client
	master   bool
}

func masterRung(desk *Desk, subscriber rueidis.Client) *rung {
	r := &rung{name: "master", listener: subscriber, master: true}
	r.place.Store(desk.master)
	return r
}

func (r *rung) dial() error {
	client, err := rueidis.NewClient(r.opt)
	if err == nil {
		r.place.Store(newPlace(client, true))
	}
	return err
}

func (r *rung) redial(ctx context.Context) {
	for ctx.Err() == nil && r.dial() != nil {
		pause(ctx, redialEvery)
	}
}

// at returns the rung's place, or an error if it was never reached.
func (r *rung) at() (*place, error) {
	if p := r.place.Load(); p != nil {
		return p, nil
	}
	return nil, errOutOfReach
}

// timeout is how long a reading may take.
func (r *rung) timeout() time.Duration {
	if r.master {
		return callTimeout
	}
	return rungTimeout
}

// stock reads an event's stock. It returns ErrAbsent if there is none here.
func (r *rung) stock(ctx context.Context, l *onsale.Layout, k keys) (*onsale.Stock, error) {
	p, err := r.at()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	return p.stock(ctx, l, k)
}

var (
	errOutOfReach = errors.New("it can't be reached")
	errCut        = errors.New("its master doesn't reach it")
	errLagging    = errors.New("it lags behind")
)

// sound returns why the rung is no good for an event that was like this at the master
// a moment ago, nil if it is good.
func (r *rung) sound(ctx context.Context, k keys, was Condition) error {
	p, err := r.at()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	c, who, err := p.condition(ctx, k, runFresh)
	switch {
	case err != nil:
		return err
	case who.cut:
		return errCut
	case c.before(was):
		return errLagging
	}
	return nil
}

// listen calls got with each message of a channel until ctx ends, or the subscription
// does, and begun once it has begun.
func (r *rung) listen(ctx context.Context, channel string, begun func(), got func(text string)) error {
	c, err := r.ear()
	if err != nil {
		return err
	}
	ctx = rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) {
		if s.Kind == "ssubscribe" || s.Kind == "subscribe" {
			begun()
		}
	})
	hear := func(m rueidis.PubSubMessage) { got(m.Message) }
	err = c.Receive(ctx, c.B().Ssubscribe().Channel(channel).Build(), hear)
	if e, ok := rueidis.IsRedisErr(err); ok && strings.Contains(strings.ToLower(e.Error()), "unknown command") {
		err = c.Receive(ctx, c.B().Subscribe().Channel(channel).Build(), hear) // as tell.lua publishes there
	}
	return err
}

// ear is the client that listens.
func (r *rung) ear() (rueidis.Client, error) {
	if r.listener != nil {
		return r.listener, nil
	}
	p, err := r.at()
	if err != nil {
		return nil, err
	}
	return p.client, nil
}

// hush asks the server to send no more of a channel that nobody listens to here.
// Should it not hear, its messages go on being dropped.
func (r *rung) hush(ctx context.Context, channel string) {
	c, err := r.ear()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rungTimeout)
	defer cancel()
	_ = c.Do(ctx, c.B().Sunsubscribe().Channel(channel).Build()).Error() // see above
}
