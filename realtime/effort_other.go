//go:build !unix

package realtime

import "time"

var began = time.Now()

// cpuTime is the time by the clock, as if the process had one processor and nothing else to do.
func cpuTime() time.Duration { return time.Since(began) }
