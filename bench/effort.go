package bench

import (
	"runtime"
	"sync"
	"time"
)

// A worker that has no processor left measures itself. It may be so for some seconds only, when the doors
// open, and idle for minutes after that, so what counts is the most that it needed at any time.

const (
	// effortWindow is over how long a worker's processors must have been taken: a shorter time delays nobody for long.
	effortWindow = 2 * time.Second
	// effortEvery is how often it is looked; CPU time is counted in hundredths of a second.
	effortEvery = 250 * time.Millisecond
)

// spent is what a process had used of CPU time at a moment.
type spent struct {
	at  time.Time
	cpu time.Duration
}

// watchEffort looks at what this process uses until the returned function is called, which returns the CPU time that
// it has used since, and the most of the processors that it may use which it needed at any time, as a share of them.
func watchEffort() (stop func() (used time.Duration, busiest float64)) {
	looks := []spent{{time.Now(), ownCPU()}}
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(effortEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				looks = append(looks, spent{time.Now(), ownCPU()})
			case <-done:
				return
			}
		}
	})
	return func() (time.Duration, float64) {
		close(done)
		looking.Wait()
		looks = append(looks, spent{time.Now(), ownCPU()})
		return looks[len(looks)-1].cpu - looks[0].cpu, greatestShare(looks) / float64(runtime.GOMAXPROCS(0))
	}
}

// greatestShare is the most of one processor that was used in any effortWindow, or in all of the time if that is
// shorter. Looks are in order; there are two at least.
func greatestShare(looks []spent) (most float64) {
	share := func(from, to spent) float64 { return float64(to.cpu-from.cpu) / float64(max(to.at.Sub(from.at), 1)) }
	from := 0
	for _, to := range looks {
		if to.at.Sub(looks[0].at) < effortWindow {
			continue
		}
		for to.at.Sub(looks[from+1].at) >= effortWindow {
			from++
		}
		most = max(most, share(looks[from], to))
	}
	if last := looks[len(looks)-1]; last.at.Sub(looks[0].at) < effortWindow {
		return share(looks[0], last)
	}
	return most
}
