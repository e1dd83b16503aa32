package realtime

import (
	"testing"
	"time"
)

// However many events there are, feeds take a third of the time at the most, and a small
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
			shared := effort{processors: 1, most: defaultEffort}
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
				next[first] = now + paces[first].rest(tick, costs[first], costs[first])
			}
			for i := range paces {
				paces[i].idle()
			}
			if left := shared.change(0, 0); left > 1e-9 {
				t.Errorf("events that rest still want %v of the time", left)
			}
			if part := float64(busy) / float64(now); part > 0.34 {
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

func TestPaceOfOneEventIsASixthOfItsProcessors(t *testing.T) {
	const tick, ms = 50 * time.Millisecond, time.Millisecond
	for _, c := range []struct {
		processors       float64
		took, work, want time.Duration
	}{
		{1, ms, ms, 49 * ms},              // what is left of the tick
		{1, 100 * ms, 100 * ms, 500 * ms}, // five times as long
		{2, 100 * ms, 200 * ms, 500 * ms}, // both at work
		{0.25, 100 * ms, 100 * ms, 2300 * ms},
		{1, 300 * ms, 20 * ms, 0}, // it was the machine that took so long
		{1, 80 * ms, 20 * ms, 40 * ms},
	} {
		p := pace{effort: &effort{processors: c.processors, most: defaultEffort}}
		if rest := p.rest(tick, c.took, c.work); (rest - c.want).Abs() > time.Microsecond {
			t.Errorf("%+v: it rests %v", c, rest)
		}
	}
}
