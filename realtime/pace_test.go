package realtime

import (
	"testing"
	"time"
)

// However many events there are, feeds take half of the time at the most, and a small
// event beside a large one keeps its tick. By a clock of the test's own.
func TestEventsShareTheTimeInWhichFeedsAreWritten(t *testing.T) {
	const tick = 50 * time.Millisecond
	for name, costs := range map[string][]time.Duration{
		"one large":            {100 * time.Millisecond},
		"two large":            {100 * time.Millisecond, 100 * time.Millisecond},
		"a hundred":            make([]time.Duration, 100),
		"small beside a large": {time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var shared effort
			paces, next, turns := make([]pace, len(costs)), make([]time.Duration, len(costs)), make([]int, len(costs))
			for i := range costs {
				paces[i].effort = &shared
				if costs[i] == 0 {
					costs[i] = 5 * time.Millisecond
				}
			}
			var now, busy time.Duration
			for now < time.Minute {
				first := 0 // the machine writes for one event at a time, who waits longest first
				for i := range next {
					if next[i] < next[first] {
						first = i
					}
				}
				now = max(now, next[first])
				now += costs[first]
				busy += costs[first]
				turns[first]++
				next[first] = now + paces[first].rest(tick, costs[first])
			}
			for i := range paces {
				paces[i].idle()
			}
			if left := shared.change(0, 0); left > 1e-9 {
				t.Errorf("events that rest still want %v of the time", left)
			}
			if part := float64(busy) / float64(now); part > 0.51 {
				t.Errorf("feeds take %.0f %% of the time", 100*part)
			}
			for i, n := range turns {
				if most := int(time.Minute/tick) + 1; n > most {
					t.Errorf("event %d had %d turns in a minute, want %d at the most", i, n, most)
				}
			}
			if name == "small beside a large" && turns[0] < 600 {
				t.Errorf("the small event had %d turns in a minute", turns[0])
			}
		})
	}
}

func TestPaceOfOneEventIsAThirdOfTheTime(t *testing.T) {
	var shared effort
	p := pace{effort: &shared}
	if rest := p.rest(50*time.Millisecond, time.Millisecond); rest != 49*time.Millisecond {
		t.Errorf("after a quick turn it rests %v, want what is left of the tick", rest)
	}
	if rest := p.rest(50*time.Millisecond, 100*time.Millisecond); rest != 200*time.Millisecond {
		t.Errorf("after a long turn it rests %v, want twice as long", rest)
	}
}
