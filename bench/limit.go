package bench

import (
	"fmt"
	"time"
)

// defaultMostLate is how late the bench may be itself, as a command: more than its slowest
// aim for an answer of the server, and the figures are the generator's own.
const defaultMostLate = 200 * time.Millisecond

// generatorLimit says why a run is void whose generator sent so late in 99 of 100 times,
// though it may be only so late; "" if it isn't, and if most is 0. Latencies count from when
// a request was due, so a late generator makes them longer, never shorter: what a void
// run tells is of the wrong machine.
func generatorLimit(late99, most time.Duration) string {
	if most == 0 || late99 <= most {
		return ""
	}
	return fmt.Sprintf("the generator was the bottleneck: in 1 of 100 sendings it was more than %s behind its schedule, and %s is the most: give it more cores, or ask for fewer users",
		millis(late99), millis(most))
}
