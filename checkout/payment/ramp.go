package payment

import "time"

// rampFloor is the share of what is asked that passes when a provider has just come back.
const rampFloor = 0.1

// ramp lets a growing share of questions pass, evenly: of a tenth, each tenth one. It
// lasts as long as the breaker was open before its canary.
// Its owner's mutex guards it.
type ramp struct {
	since  time.Time     // when it began; zero: it is over
	lasts  time.Duration // from then
	credit float64       // of the questions that did not pass
}

// shareAt is the share that passes now, from rampFloor to 1.
func (r *ramp) shareAt(now time.Time) float64 {
	if r.since.IsZero() {
		return 1
	}
	return min(1, rampFloor+(1-rampFloor)*now.Sub(r.since).Seconds()/r.lasts.Seconds())
}

// passes reports whether the next question passes.
func (r *ramp) passes(now time.Time) bool {
	share := r.shareAt(now)
	if share == 1 {
		*r = ramp{}
		return true
	}
	if r.credit += share; r.credit < 1 {
		return false
	}
	r.credit--
	return true
}
