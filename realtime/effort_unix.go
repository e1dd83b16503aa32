//go:build unix

package realtime

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what the process has used of processors, for whatever: not only a fan-out makes it slower.
func cpuTime() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil {
		return 0 // it can't fail on itself
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
