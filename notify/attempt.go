package notify

import (
	"errors"
	"math/rand/v2"
	"time"

	"onsale"
)

// waits are how long a delivery waits after each failed attempt; when it has used them up
// it is dead. Together they are a little more than three days. Source: the schedule that
// Standard Webhooks recommends, https://www.standardwebhooks.com.
var waits = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	// waitSpread is by how much a wait is longer or shorter, at random, so that what
	// failed together isn't tried again together.
	waitSpread = 0.1
	// maxAdvice is how long a receiver may ask to be left alone.
	maxAdvice = 24 * time.Hour
	// maxErrorLength bounds what is kept of an attempt's error, in bytes.
	maxErrorLength = 300
)

// failure is why an attempt failed. Its text is kept and logged: it says nothing of the buyer.
type failure struct {
	text  string
	final bool          // this delivery will never be taken
	down  bool          // says something of the receiver, not of this delivery: its breaker counts it
	gone  bool          // the receiver wants nothing more
	after time.Duration // the receiver asked to wait so long, at least
}

func (f *failure) Error() string { return f.text }

// failureOf is err as a failure; one that nobody has judged is the receiver's.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return &failure{text: err.Error(), down: true}
}

// outcomeOf is what follows from an attempt that has begun.
func outcomeOf(d onsale.Delivery, err error) onsale.DeliveryOutcome {
	o := onsale.DeliveryOutcome{ID: d.ID, Attempt: d.Attempts, State: onsale.DeliverySent, Begun: true}
	if err == nil {
		return o
	}
	f := failureOf(err)
	o.Error = tidy(f.text)
	if f.final || f.gone || d.Attempts > len(waits) {
		o.State = onsale.DeliveryDead
		return o
	}
	o.State = onsale.DeliveryQueued
	wait := waits[max(d.Attempts, 1)-1]
	spread := time.Duration(float64(wait) * waitSpread * (2*rand.Float64() - 1))
	o.After = max(wait+spread, min(f.after, maxAdvice))
	return o
}

// untried is the outcome of a delivery that was taken and not begun: it is due at once.
func untried(d onsale.Delivery) onsale.DeliveryOutcome {
	return onsale.DeliveryOutcome{ID: d.ID, Attempt: d.Attempts, State: onsale.DeliveryQueued}
}

// tidy makes a line that Postgres takes of what a receiver said.
func tidy(text string) string {
	line := make([]rune, 0, min(len(text), maxErrorLength))
	for _, r := range text { // what is no UTF-8 becomes U+FFFD
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		if line = append(line, r); len(line) == maxErrorLength {
			break
		}
	}
	return string(line)
}
