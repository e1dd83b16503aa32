package bench

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"onsale"
)

// Phase is what a rush is doing.
type Phase string

// The phases, in order.
const (
	PhasePreparing Phase = "preparing" // the event is created and opened
	PhaseOpening   Phase = "opening"   // of a storm: its buyers sign in and open their feeds before the doors open
	PhaseStorm     Phase = "storm"     // buyers arrive
	PhaseSettling  Phase = "settling"  // all have arrived; some are still buying, or wait for a result
	PhaseExpiring  Phase = "expiring"  // holds that were let go come to their deadline
	PhaseAuditing  Phase = "auditing"  // every promise is checked
	PhaseDone      Phase = "done"
)

// Progress is the state of a rush while it runs.
type Progress struct {
	Phase     Phase
	Elapsed   time.Duration // since the first buyer could arrive
	Users     int           // who will arrive in all
	Arrived   int64         // buyers
	Active    int64         // buyers who have arrived and not left
	Held      int64         // holds granted
	Accepted  int64         // purchases answered with 202
	Sold      int64         // orders ticketed
	Declined  int64         // orders
	Refused   int64         // holds and checkouts refused
	Errors    int64         // requests without an answer, or with one that no buyer should see
	Broken    int           // promises found broken so far
	Requests  int64         // sent
	Feeds     int64         // feeds open
	Available int64         // admissions, as the bench's own feed shows them

	Stock     onsale.Counts    // as the bench's own feed shows it
	Hold      Quantiles        // so far
	Checkout  Quantiles        // so far
	Staleness Quantiles        // of feeds, so far
	Late      Quantiles        // how far the bench itself was behind its schedule, so far
	Codes     map[string]int64 // requests that were refused, by the code, or got no answer
	Usage     map[string]Usage // of each kind of process, in the last second
}

// progressEvery is how often the caller of Rush is told, besides when a phase begins.
const progressEvery = 200 * time.Millisecond

// enter begins a phase and tells the caller.
func (r *rush) enter(phase Phase) {
	r.phase.Store(phase)
	r.mark(phase)
	r.tell()
}

// tell tells the caller how it goes.
func (r *rush) tell() {
	if r.cfg.Progress == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	r.cfg.Progress(r.progress())
}

// tellOften tells the caller again and again until the returned function is called and returns.
func (r *rush) tellOften() (stop func()) {
	done := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.tell()
			case <-done:
				return
			}
		}
	})
	return func() { close(done); teller.Wait() }
}

func (r *rush) progress() Progress {
	m := &r.m
	p := Progress{
		Phase: r.phase.Load().(Phase), Users: r.cfg.Users,
		Arrived: m.arrived.Load(), Active: m.active.Load(), Held: m.held.Load(), Accepted: m.accepted.Load(), Sold: m.sold.Load(),
		Declined: m.declined.Load(), Refused: m.refused.Load(), Errors: m.errors.Load(), Broken: r.ledger.broken(), Requests: m.requests.Load(),
		Feeds: m.feeds.Load(), Hold: m.hold.quantiles(), Checkout: m.checkout.quantiles(), Staleness: m.staleness.quantiles(),
		Late: m.late.quantiles(), Codes: m.codes.all(), Usage: r.usage.latest(),
	}
	p.Stock, _ = r.stock()
	p.Available = p.Stock.Available
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Elapsed = time.Since(r.opened)
	return p
}

// String is one line for people.
func (p Progress) String() string {
	return fmt.Sprintf("%-9s %5.1fs  arrived %d/%d  active %d  held %d  sold %d  declined %d  refused %d  errors %d  left %d  hold p99 %s",
		p.Phase, p.Elapsed.Seconds(), p.Arrived, p.Users, p.Active, p.Held, p.Sold, p.Declined, p.Refused, p.Errors, p.Available, millis(p.Hold.P99))
}

// plainEvery is how often progress is written where lines can't be overwritten.
const plainEvery = 2 * time.Second

// NewProgressWriter returns a function for RushConfig.Progress that writes to w: a picture
// that changes in place if w is a terminal, a line every two seconds and one a phase
// otherwise.
func NewProgressWriter(w io.Writer) func(Progress) {
	if isTerminal(w) {
		return newScreen(w).show
	}
	return plainLines(w)
}

func plainLines(w io.Writer) func(Progress) {
	var last Progress
	return func(p Progress) {
		if p.Phase == last.Phase && (p.Elapsed-last.Elapsed < plainEvery || p.Phase == PhaseDone) {
			return
		}
		last = p
		_, _ = fmt.Fprintln(w, p) // what can't be written to a person is no reason to end a rush
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
