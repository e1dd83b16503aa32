package lifecycle

import (
	"os"
	"runtime/debug"
)

// roomyHeap is by how many percent the heap of who settles may grow before it is collected.
const roomyHeap = 400

// RoomyHeap lets this process collect less often than Go's default, unless GOGC says otherwise.
// It is for who settles: some 20 MB live, and everything else is a batch that is soon done with,
// so that a fifth of its CPU time went to the collector (seen by "onsale bench settle": 57 µs an
// order with 100 %, 48 with 400).
func RoomyHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(roomyHeap)
	}
}
