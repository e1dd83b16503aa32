package realtime

import (
	"testing"
	"time"
)

// Each step of a heartbeat pings its own part, and all of them together everybody once.
func TestHeartbeatsAreSpreadOverTheInterval(t *testing.T) {
	var r roster
	for range 40 * heartbeatSteps {
		r.add(&conn{})
	}
	pinged := map[*conn]int{}
	for step := range heartbeatSteps {
		n := 0
		r.each(step, heartbeatSteps, func(c *conn) { pinged[c]++; n++ })
		if n != 40 {
			t.Errorf("step %d pings %d of %d", step, n, 40*heartbeatSteps)
		}
	}
	for _, n := range pinged {
		if n != 1 {
			t.Fatalf("pinged %d times in one heartbeat", n)
		}
	}
	if len(pinged) != 40*heartbeatSteps {
		t.Errorf("%d were pinged", len(pinged))
	}
}

func TestDeadPeersAreGoneWithin45SecondsByDefault(t *testing.T) {
	cfg := Config{}.WithDefaults()
	if got := cfg.peerTimeout() + lateEvery; got > 45*time.Second || got < cfg.Heartbeat*4/3 { // who is asked has time to answer
		t.Errorf("a silent peer is gone after %v, and is pinged every %v", got, cfg.Heartbeat)
	}
}
