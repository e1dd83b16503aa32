package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
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
	Feeds     int64         // feeds open
	Available int64         // admissions, as the bench's own feed shows them
	HoldP99   time.Duration // so far
}

// progressEvery is how often the caller of Rush is told, besides when a phase begins.
const progressEvery = 200 * time.Millisecond

// enter begins a phase and tells the caller.
func (r *rush) enter(phase Phase) {
	r.phase.Store(phase)
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
		Declined: m.declined.Load(), Refused: m.refused.Load(), Errors: m.errors.Load(), Feeds: m.feeds.Load(),
		HoldP99: m.hold.quantiles().P99,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Elapsed = time.Since(r.opened)
	if len(r.watches) > 0 { // the first is the bench's own
		if view := r.watches[0].view(); view != nil {
			for _, s := range view.Sections {
				p.Available += s.Available
			}
		}
	}
	return p
}

// String is one line for people.
func (p Progress) String() string {
	return fmt.Sprintf("%-9s %5.1fs  arrived %d/%d  active %d  held %d  sold %d  declined %d  refused %d  errors %d  left %d  hold p99 %s",
		p.Phase, p.Elapsed.Seconds(), p.Arrived, p.Users, p.Active, p.Held, p.Sold, p.Declined, p.Refused, p.Errors, p.Available, millis(p.HoldP99))
}

// plainEvery is how often progress is written where lines can't be overwritten.
const plainEvery = 2 * time.Second

// NewProgressWriter returns a function for RushConfig.Progress that writes to w: one
// line that changes in place if w is a terminal, a line every two seconds and one a
// phase otherwise.
func NewProgressWriter(w io.Writer) func(Progress) {
	if isTerminal(w) {
		return liveLine(w)
	}
	return plainLines(w)
}

func liveLine(w io.Writer) func(Progress) {
	width := 0
	return func(p Progress) {
		line := p.String()
		end := ""
		if p.Phase == PhaseDone {
			end = "\n"
		}
		// A shorter line must cover the longer one before it. What can't be written to a
		// terminal is no reason to end a rush.
		_, _ = fmt.Fprint(w, "\r", line, strings.Repeat(" ", max(0, width-len(line))), end)
		width = len(line)
	}
}

func plainLines(w io.Writer) func(Progress) {
	var last Progress
	return func(p Progress) {
		if p.Phase == last.Phase && (p.Elapsed-last.Elapsed < plainEvery || p.Phase == PhaseDone) {
			return
		}
		last = p
		_, _ = fmt.Fprintln(w, p) // as above
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
