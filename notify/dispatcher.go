package notify

import (
	"context"
	"log/slog"
	"time"

	"onsale"
	"onsale/internal/lifecycle"
)

// lookPeriod is how often a process looks for what is due: what other processes queued,
// and what is to be tried again.
const lookPeriod = time.Second

// dispatcher starts a goroutine for each lane that has something due and isn't being
// worked on here. There are as many as webhooks, and one: bounded by onsale.MaxWebhooks.
type dispatcher struct {
	cfg    Config
	mailer *mailer // nil: e-mail is sent elsewhere
	meters *meters
	log    *slog.Logger
	wake   chan struct{}
	group  lifecycle.Group

	lanes map[onsale.Lane]*lane // of the goroutine that looks
}

func newDispatcher(cfg Config, m *meters) *dispatcher {
	return &dispatcher{cfg: cfg, meters: m, log: cfg.Log, wake: make(chan struct{}, 1), lanes: map[onsale.Lane]*lane{}}
}

// Start implements lifecycle.Part.
func (d *dispatcher) Start(ctx context.Context) error {
	d.group.Go(ctx, d.run)
	return nil
}

// Stop implements lifecycle.Part.
func (d *dispatcher) Stop(ctx context.Context) error { return d.group.Stop(ctx) }

func (d *dispatcher) run(ctx context.Context) {
	tick := time.NewTicker(lookPeriod)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-d.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look starts what is due.
func (d *dispatcher) look(ctx context.Context) {
	webhooks, due, err := d.cfg.Book.Lanes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.Warn("can't look for due deliveries; it is tried again", "error", err)
		}
		return
	}
	open := map[onsale.Channel]int{}
	known := map[onsale.Lane]bool{onsale.LaneEmail: true}
	if d.mailer != nil {
		d.tend(ctx, onsale.LaneEmail, due, open, func(*lane) sender { return d.mailer }, nil)
	}
	for _, w := range webhooks {
		known[w.ID.Lane()] = true
		d.tend(ctx, w.ID.Lane(), due, open,
			func(*lane) sender { return newPoster(d.cfg.Keys, d.cfg.Loopback) },
			func(l *lane) { l.sender.(*poster).webhook = w })
	}
	for name, l := range d.lanes {
		if !known[name] && !l.busy.Load() {
			delete(d.lanes, name)
		}
	}
	d.meters.setOpen(open)
}

// tend makes a lane if it is new and, if it has something due, nobody works on it here
// and its receiver may be asked, prepares it and lets it work.
func (d *dispatcher) tend(ctx context.Context, name onsale.Lane, due map[onsale.Lane]bool, open map[onsale.Channel]int,
	made func(*lane) sender, prepare func(*lane)) {
	l := d.lanes[name]
	if l == nil {
		l = newLane(name, d.cfg.Book, d.meters, d.log)
		l.sender = made(l)
		d.lanes[name] = l
	}
	if l.room() == 0 {
		open[name.Channel()]++
		return
	}
	if !due[name] || !l.busy.CompareAndSwap(false, true) {
		return
	}
	if prepare != nil {
		prepare(l)
	}
	if !d.group.Go(ctx, l.work) {
		l.busy.Store(false)
	}
}
