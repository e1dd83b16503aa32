package feed

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/bench"
)

const (
	// mostBuyers sign in at the beginning. Each may hold onsale.MaxPerBuyer admissions at once.
	mostBuyers = 4_000
	// oneSeatIn is how many holds come to one of a seat; the others are of the floor.
	oneSeatIn = 5
	// oneBackIn is how many holds come to one that is given back at once: seats go both ways.
	oneBackIn = 3
	// mostAsking bounds the holds under way. What is due beyond them waits, and its wait counts.
	mostAsking = 2_000
)

// buyers hold, and some give back: at times fixed in advance, however slow the answers are.
type buyers struct {
	house  *house
	tokens []string
	run    string // begins every key: no two runs share one
	next   atomic.Int64
}

// newBuyers signs buyers in.
func newBuyers(h *house) (*buyers, error) {
	b := &buyers{house: h, tokens: make([]string, mostBuyers), run: rand.Text()}
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for n := i; n < len(b.tokens) && errs[i] == nil; n += len(errs) {
				var session struct {
					Token string `json:"token"`
				}
				errs[i] = h.front.Send(bench.Ask{Method: "POST", Path: "/v1/sessions"}, &session)
				b.tokens[n] = session.Token
			}
		})
	}
	all.Wait()
	return b, errors.Join(errs...)
}

// one holds one admission of the floor.
func (b *buyers) one() error {
	_, err := b.hold(int(b.next.Add(1)), "floor")
	return err
}

// hold holds an admission of a section for the n-th buyer, and returns how it is given back.
func (b *buyers) hold(n int, section string) (giveBack func() error, err error) {
	token := b.tokens[n%len(b.tokens)]
	var hold struct {
		ID onsale.HoldID `json:"id"`
	}
	err = b.house.front.Send(bench.Ask{Method: "POST", Path: "/v1/events/" + string(b.house.event.ID) + "/holds",
		Token: token, Key: b.run + strconv.Itoa(n), Body: map[string]any{"lines": []map[string]any{{"section": section, "quantity": 1}}}}, &hold)
	return func() error {
		return b.house.front.Send(bench.Ask{Method: "DELETE", Path: "/v1/holds/" + string(hold.ID), Token: token}, nil)
	}, err
}

// asking is what came of holds.
type asking struct {
	mu      sync.Mutex
	took    times // under mu: when due → held
	refused int64 // under mu
	err     error // under mu: the last one that isn't a refusal
	failed  int64 // under mu
	fatal   error // why what went on meanwhile failed; set when nobody asks any more
}

// ask asks for so many holds a second until ctx ends, and returns what came of those that
// were due by then, all of which it waits for.
func (b *buyers) ask(ctx context.Context, rate float64) *asking {
	a := &asking{took: newTimes()}
	slots := make(chan struct{}, mostAsking)
	var under sync.WaitGroup
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if pause(ctx, time.Until(due)) != nil {
			break
		}
		slots <- struct{}{}
		under.Go(func() {
			defer func() { <-slots }()
			a.one(b, n, due)
		})
	}
	under.Wait()
	return a
}

// one makes the n-th ask, which is due.
func (a *asking) one(b *buyers, n int, due time.Time) {
	section := "floor"
	if n%oneSeatIn == 0 {
		section = standID(n / oneSeatIn % stands)
	}
	giveBack, err := b.hold(int(b.next.Add(1)), section)
	took := time.Since(due)
	held := err == nil
	if held && n%oneBackIn == 0 {
		err = giveBack()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if held {
		a.took.note(int64(took))
	}
	var refusal *onsale.Error
	switch {
	case err == nil:
	case errors.As(err, &refusal):
		a.refused++
	default:
		a.failed++
		a.err = err
	}
}
