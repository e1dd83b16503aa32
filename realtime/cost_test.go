package realtime

import (
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkIdleConnection reports what one more idle connection costs this
// process: heap and stacks, of the client's bare socket too.
func BenchmarkIdleConnection(b *testing.B) {
	const conns = 1000
	memory := func() float64 {
		runtime.GC()
		runtime.GC() // the first empties the pools into their victims, the second frees those
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	h := newHouse(b, "show", 40, 100)
	s := serve(b, nil, h)
	opened := 0
	for b.Loop() {
		before := memory()
		for range conns {
			c := s.knock(b, nil)
			b.Cleanup(func() { c.Close() })
		}
		opened += conns
		eventually(b, func() error {
			if n := s.gateway.gate.open(); n != opened {
				return fmt.Errorf("%d feeds are open, want %d", n, opened)
			}
			return nil
		})
		b.ReportMetric((memory()-before)/conns, "B/conn")
	}
}
