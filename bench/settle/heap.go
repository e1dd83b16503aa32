package settle

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// heapLook is how often the memory is looked at.
const heapLook = 100 * time.Millisecond

// watchHeap looks at the memory that live objects take until stop is called, which returns the
// most there was, in bytes: as much as the garbage collector last found alive.
func watchHeap() (stop func() float64) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	end, most := make(chan struct{}), make(chan float64)
	go func() { // ends with stop, which waits for it
		tick := time.NewTicker(heapLook)
		defer tick.Stop()
		peak := 0.0
		for {
			metrics.Read(sample)
			peak = max(peak, float64(sample[0].Value.Uint64()))
			select {
			case <-end:
				most <- peak
				return
			case <-tick.C:
			}
		}
	}()
	return func() float64 {
		close(end)
		return <-most
	}
}
