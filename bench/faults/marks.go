package faults

import (
	"fmt"

	"onsale/bench/timeline"
)

// mostTimelines is of how many runs a campaign's report shows how they went: the first
// ones, and in their place those that something was found in.
const mostTimelines = 4

// markFaults notes in the run's timeline what went wrong on purpose, and how long.
func (o *outcome) markFaults() {
	for _, line := range o.storm.Timelines {
		for _, f := range o.done {
			text := f.String()
			if f.Failed != "" {
				text += ", which didn't happen as planned"
			}
			line.Marks = append(line.Marks, timeline.At{At: f.FiredAt.Seconds(), Until: f.Over.Seconds(), Kind: "fault", Text: text})
		}
	}
}

// keepTimelines keeps how a run went, if there is room, or if it is worth more than the
// last that was kept of those in which all was well.
func (t *tally) keepTimelines(o *outcome) {
	for _, line := range o.storm.Timelines {
		line.Title = fmt.Sprintf("seed %d, %s Kafka", o.seed, o.broker)
		if !o.clean() {
			line.Title += ": not well"
		}
		kept := &t.sum.Timelines
		if len(*kept) < mostTimelines {
			*kept = append(*kept, line)
			t.wells = append(t.wells, o.clean())
			continue
		}
		for i := mostTimelines - 1; i >= 0 && !o.clean(); i-- {
			if t.wells[i] {
				(*kept)[i], t.wells[i] = line, false
				break
			}
		}
	}
}
