package timeline

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// seen is something that a recorder is told.
type seen struct {
	at   time.Duration
	took time.Duration
	by   int // which recorder
}

var doors = time.Unix(1_800_000_000, 137_000_000)

// What many recorders have seen is joined to exactly what one would be that had seen all,
// though it has gone through JSON and the clocks don't agree.
func TestWhatManyHaveSeenIsWhatOneWouldHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) seen {
			return seen{
				at:   time.Duration(rapid.Int64Range(-int64(20*time.Second), int64(5*time.Minute)).Draw(t, "at")),
				took: time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "took")),
				by:   rapid.IntRange(0, 3).Draw(t, "by"),
			}
		}), 1, 60).Draw(t, "events")
		one, many := New(0), make([]*Recorder, 4)
		for i := range many {
			many[i] = New(time.Duration(i) * time.Hour) // this one's clock is hours behind
		}
		for _, e := range events {
			for r, behind := range map[*Recorder]time.Duration{one: 0, many[e.by]: time.Duration(e.by) * time.Hour} {
				at := doors.Add(e.at - behind)
				r.Count("answers.held", at, 1)
				r.Durations("hold").Took(at, e.took, 1)
				if r == one || e.by == 0 {
					r.Mark(Mark{At: at, Kind: "fault", Text: "cut"})
				}
			}
		}
		shards := []*Shard{nil}
		for _, r := range many {
			body, err := json.Marshal(r.Shard())
			if err != nil {
				t.Fatal(err)
			}
			shard := new(Shard)
			if err := json.Unmarshal(body, shard); err != nil {
				t.Fatal(err)
			}
			shards = append(shards, shard)
		}
		whole, joined := Join(doors, one.Shard()), Join(doors, shards...)
		whole.Marks, joined.Marks = nil, nil
		if text(t, whole) != text(t, joined) {
			t.Errorf("one:  %s\nmany: %s", text(t, whole), text(t, joined))
		}
		if whole.Rows > MaxRows || len(whole.Columns["answers.held"]) != whole.Rows {
			t.Errorf("%d rows, and a column of %d", whole.Rows, len(whole.Columns["answers.held"]))
		}
		if got := sum(whole.Columns["answers.held"]); got != float64(len(events)) {
			t.Errorf("%v of %d are counted", got, len(events))
		}
	})
}

func text(t interface{ Fatal(...any) }, v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func sum(c Column) (sum float64) {
	for _, v := range c {
		sum += v
	}
	return sum
}

func TestPercentilesAreWithinASixtyFourthOfTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 600_000_000), 1, 200).Draw(t, "µs")
		var h Histogram
		for _, us := range values {
			h.Record(time.Duration(us)*time.Microsecond, 1)
		}
		slices.Sort(values)
		for i, got := range h.Percentiles(percents...) {
			want := values[max(0, int(math.Ceil(percents[i]/100*float64(len(values))))-1)]
			if us := got.Microseconds(); us < want || float64(us) > float64(want)*(1+1.0/64) {
				t.Errorf("p%v is %d µs, and was %d", percents[i], us, want)
			}
		}
	})
}

func TestNothingHasNoTimelineAndNilRecordsNothing(t *testing.T) {
	if got := Join(doors, New(0).Shard(), nil); got != nil {
		t.Errorf("a timeline of nothing: %+v", got)
	}
	var r *Recorder
	r.Count("answers.held", doors, 1)
	r.Level("stock.available", doors, 1)
	r.Mark(Mark{At: doors})
	r.Durations("hold").Took(doors, time.Second, 1)
	if r.Shard() != nil {
		t.Error("nil has recorded something")
	}
	if got := new(Histogram).Percentiles(50, 99); got[0] != 0 || got[1] != 0 {
		t.Errorf("percentiles of nothing: %v", got)
	}
}

func TestALevelCountsUntilTheNextOneOfTheSameRecorder(t *testing.T) {
	a, b := New(0), New(0)
	at := func(tick int) time.Time { return doors.Truncate(Tick).Add(time.Duration(tick) * Tick) }
	a.Level("crowd.active", at(0), 10)
	a.Level("crowd.active", at(2), 20)
	b.Level("crowd.active", at(1), 5)
	a.Level("cpu.redis", at(0), 50)
	a.Level("cpu.redis", at(2), 70)
	b.Count("arrivals.buyers", at(3), 1)
	line := Join(at(0), a.Shard(), b.Shard())
	if got, want := line.Columns["crowd.active"], (Column{10, 15, 25, 25}); !reflect.DeepEqual(got, want) {
		t.Errorf("the sum is %v, want %v", got, want)
	}
	if got := text(t, line.Columns["cpu.redis"]); got != "[50,null,70,null]" {
		t.Errorf("what one alone tells is %s", got)
	}
	var back Timeline
	if err := json.Unmarshal([]byte(text(t, line)), &back); err != nil || text(t, &back) != text(t, line) {
		t.Errorf("read back as %s (%v)", text(t, &back), err)
	}
}

func TestARecorderIsBoundedAndSaysWhatItLeftOut(t *testing.T) {
	r := New(0)
	r.Count("answers.held", doors, 1)
	r.Count("answers.held", doors.Add(maxTicks*Tick), 1) // too late
	for n := range maxNames + 4 {
		r.Count("codes."+string(rune('a'+n)), doors, 1)
	}
	for range maxMarks + 3 {
		r.Mark(Mark{At: doors, Kind: "fault"})
	}
	line := Join(doors, r.Shard())
	if len(line.Columns) != maxNames || len(line.Marks) != maxMarks || line.Cut != 1+5+3 {
		t.Errorf("%d columns, %d marks, %d left out", len(line.Columns), len(line.Marks), line.Cut)
	}
	for n := range maxTicks - 1 {
		r.Count("answers.held", doors.Add(time.Duration(n)*Tick), 1)
	}
	if line := Join(doors, r.Shard()); line.Rows > MaxRows || sum(line.Columns["answers.held"]) != maxTicks {
		t.Errorf("%d rows with %v", line.Rows, sum(line.Columns["answers.held"]))
	}
}
