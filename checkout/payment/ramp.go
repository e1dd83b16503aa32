package payment

import "time"

const (
	// rampFloor is the share of what is asked that passes when a provider has just come back.
	rampFloor = 0.1
	// rampTime is how long it takes until everything passes.
	rampTime = 30 * time.Second
)

// ramp lets a growing share of questions pass, evenly: of a tenth, each tenth one.
// Its owner's mutex guards it.
type ramp struct {
	since  time.Time // when it began; zero: it is over
	share  float64   // at since; 1 if it is over
	credit float64   // of the questions that did not pass
}

// shareAt is the share that passes now, from rampFloor to 1.
func (r *ramp) shareAt(now time.Time) float64 {
	if r.since.IsZero() {
		return r.share
	}
	return min(1, r.share+(1-r.share)*now.Sub(r.since).Seconds()/rampTime.Seconds())
}

// passes reports whether the next question passes.
func (r *ramp) passes(now time.Time) bool {
	share := r.shareAt(now)
	if share == 1 {
		*r = ramp{share: 1}
		return true
	}
	if r.credit += share; r.credit < 1 {
		return false
	}
	r.credit--
	return true
}
