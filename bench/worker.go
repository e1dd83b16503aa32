package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
)

const (
	// signInAbreast is how many of a worker's buyers sign in at once, and openAbreast how many of their feeds may
	// be on their way to a snapshot: they are all there before the doors open, and nobody is to be pushed.
	signInAbreast = 8
	openAbreast   = 32
	// openPatience is how long all of a worker's feeds may take to open.
	openPatience = 5 * time.Minute
)

// worker is a process that has a share of a storm's buyers, and their feeds on one loop.
type worker struct {
	rush     *rush  // set by open, under mu; else of the goroutine that does the duties
	recorded func() // ends the recording of how it goes; nil before open; of the same goroutine

	mu     sync.Mutex // held while something is said
	out    *json.Encoder
	teller *teller // under mu; nil before there is anything to tell
}

func workerCommand() *cli.Command {
	return &cli.Command{
		Name: "worker", Usage: "join a rush on another machine: be a part of its crowd",
		Description: "The rush says where to with --listen and --await. It needs Linux, and one open file for each buyer.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "join", Usage: "the rush's `HOST:PORT`", Required: true},
			tokenFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := FlagsOnly(c); err != nil {
				return err
			}
			return joinStorm(ctx, c.String("join"), c.String("token"))
		},
	}
}

func tokenFlag() cli.Flag {
	return &cli.StringFlag{Name: "token", Usage: "the `TOKEN` that workers join with", Sources: cli.EnvVars(workerTokenVar)}
}

const (
	workerTokenVar = "ONSALE_BENCH_TOKEN"
	workerNearVar  = "ONSALE_BENCH_NEAR" // set by the storm for the workers that it starts
)

// errNobodyThere says that no storm listens, or not yet.
var errNobodyThere = errors.New("nobody is there")

// joinStorm is the life of a worker. It returns when it is told to leave, nil, or when the storm
// has gone.
func joinStorm(ctx context.Context, address, token string) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("joining the storm: %w: %w", errNobodyThere, err)
	}
	defer conn.Close() // all that was to be said was said, or can't be
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	files, err := fileLimit()
	if err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	w := &worker{out: json.NewEncoder(conn)}
	if err := w.tell(tidings{Token: token, Room: int(files) - spareFiles}); err != nil {
		return err
	}
	duties := make(chan duty)
	var talking sync.WaitGroup
	defer talking.Wait()
	defer func() { _ = conn.Close() }()
	talking.Go(func() {
		defer close(duties)
		for in := newHearing(conn); ; {
			var d duty
			if err := in.next(&d, maxDuty); err != nil {
				cancel(fmt.Errorf("the storm has gone: %w", err))
				return
			}
			select {
			case duties <- d:
			case <-ctx.Done():
				return
			}
		}
	})
	telling, hush := context.WithCancel(ctx)
	talking.Go(func() { w.tellOften(telling) })
	defer hush()
	return w.serve(ctx, duties)
}

// serve does the duties, one after the other.
func (w *worker) serve(ctx context.Context, duties <-chan duty) (err error) {
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	for d := range duties {
		done := tidings{Done: d.Do}
		if err := w.do(ctx, d, &done); err != nil {
			done.Error = err.Error()
		}
		if err := w.tell(done); err != nil {
			return err
		}
		if d.Do == dutyLeave {
			return nil
		}
	}
	return context.Cause(ctx)
}

func (w *worker) do(ctx context.Context, d duty, done *tidings) (err error) {
	if w.rush == nil && d.Do != dutyClock && d.Do != dutyOpen && d.Do != dutyLeave {
		return fmt.Errorf("%s: there is nobody to do it", d.Do)
	}
	switch d.Do {
	case dutyClock:
		done.Clock = time.Now()
	case dutyOpen:
		return w.open(ctx, d.Open)
	case dutyStorm:
		w.rush.doors = d.Doors
		warmHeap()
		effort := watchEffort()
		w.rush.storm(ctx)
		done.Stormed, done.Near = w.rush.stormed, os.Getenv(workerNearVar) != ""
		done.CPU, done.Busiest = effort()
		err = ctx.Err()
	case dutyHand:
		done.Ledger, err = w.rush.ledger.bequeath()
		w.recorded() // to the last moment
		done.Line = w.rush.m.line.Shard()
	case dutyFeeds:
		if err = w.rush.checkFeeds(ctx); err == nil {
			done.Ledger, err = w.rush.ledger.bequeath()
		}
	case dutyLeave:
	default:
		err = fmt.Errorf("%q is no duty", d.Do)
	}
	return err
}

// open signs the share in and opens its feeds, and returns when each shows something.
func (w *worker) open(ctx context.Context, c *casting) (err error) {
	cfg := c.Config
	cfg = cfg.WithDefaults()
	r := &rush{cfg: cfg, ledger: newLedger(), aftermath: newAftermath(), layout: onsale.NewLayout(c.Event), share: c.Share}
	if r.api, err = newAPI(cfg.Target, &r.m); err != nil {
		return err
	}
	hosts, err := feedHosts(cfg.FeedTarget)
	if err != nil {
		return err
	}
	if r.loop, err = newLoop(hosts, "/v1/events/"+string(c.Event.ID)+"/live", protocolOf(r.layout), c.Source, openAbreast, r.trouble); err != nil {
		return err
	}
	r.phase.Store(PhaseOpening)
	w.recorded = r.recordCrowd(c.Ahead)
	w.mu.Lock()
	w.rush, w.teller = r, newTeller(&r.m)
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	r.sight, r.vigil = newSight(r.layout, r.ledger), newVigil(r.ledger, r.layout)
	r.observer = r.watch("")
	if err := w.signIn(ctx); err != nil {
		return err
	}
	for n, b := range r.waiting {
		select {
		case <-b.feed.ready:
		case <-ctx.Done():
			return fmt.Errorf("the feed of buyer %d shows nothing: %w", n, errors.Join(b.feed.lastError(), ctx.Err()))
		}
	}
	return nil
}

// signIn signs every buyer of the share in, and has their feeds opened.
func (w *worker) signIn(ctx context.Context) error {
	r := w.rush
	r.waiting = make(map[int]*buyer, r.share.size(r.cfg.Users))
	var mu sync.Mutex // of waiting, while they sign in
	var all sync.WaitGroup
	numbers := make(chan int)
	errs := make([]error, signInAbreast)
	for i := range errs {
		all.Go(func() {
			for n := range numbers {
				if errs[i] != nil {
					continue // drain: one error is enough
				}
				b := r.buyer(n)
				if !b.signIn(ctx) {
					errs[i] = fmt.Errorf("buyer %d can't sign in: %s", n, strings.Join(r.takeTroubles(), "; "))
					continue
				}
				b.feed, b.waited = r.watch(b.token), true
				mu.Lock()
				r.waiting[n] = b
				mu.Unlock()
			}
		})
	}
	for n := range r.cfg.Users {
		if r.share.has(n) {
			numbers <- n
		}
	}
	close(numbers)
	all.Wait()
	return errors.Join(errs...)
}

// tellOften tells how it goes until ctx ends: a worker that says nothing has died.
func (w *worker) tellOften(ctx context.Context) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if w.tell(tidings{}) != nil { // the connection has ended, which its reader says
				return
			}
		}
	}
}

// tell says something, and what was measured until now.
func (w *worker) tell(t tidings) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.teller != nil {
		now, err := w.teller.next()
		if err != nil {
			return err
		}
		t.Account, t.Troubles, t.Found = &now, w.rush.takeTroubles(), w.rush.ledger.bequeathFound()
	}
	if err := w.out.Encode(t); err != nil {
		return fmt.Errorf("telling the storm: %w", err)
	}
	return nil
}

// close ends the feeds.
func (w *worker) close(ctx context.Context) error {
	if w.rush == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), onsale.StopTimeout)
	defer cancel()
	w.recorded()
	w.rush.api.close()
	return w.rush.loop.close(ctx)
}

// takeTroubles returns the errors that are to be shown to people, and forgets them.
func (r *rush) takeTroubles() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	troubles := r.troubles
	r.troubles = nil
	return troubles
}

// largeMap is how many seats an event has whose page asks for binary frames, as Onsale's does.
const largeMap = 2_000

// protocolOf is the subprotocol in which a page follows an event.
func protocolOf(layout *onsale.Layout) string {
	seats := int64(0)
	for _, s := range layout.Sections() {
		if s.Kind == onsale.Reserved {
			seats += s.Capacity
		}
	}
	if seats > largeMap {
		return onsale.FeedBinary
	}
	return onsale.FeedProtocol
}

// feedHosts are the host:port of the feed's base URLs, which commas part.
func feedHosts(targets string) (hosts []string, err error) {
	for target := range strings.SplitSeq(targets, ",") {
		host, plain := strings.CutPrefix(strings.TrimSuffix(target, "/"), "http://")
		if !plain {
			return nil, wrong("feed: %q: the workers of a storm speak plain http: give a URL as %s", target, defaultTarget)
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, "80")
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}
