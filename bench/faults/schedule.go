package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"onsale/internal/crashpoint"
)

// Target is what a fault befalls: one of the processes.
type Target string

// The targets.
const (
	Front    Target = "front"
	Feed     Target = "feed"
	Settle   Target = "settle"
	Redis    Target = "redis"
	Postgres Target = "postgres"
	Kafka    Target = "kafka"
	Payment  Target = "payment"
)

var targets = []Target{Front, Feed, Settle, Redis, Postgres, Kafka, Payment}

// Kind is what befalls it.
type Kind string

// The kinds.
const (
	Kill     Kind = "kill"     // kill -9; started again after Lasting
	Restart  Kind = "restart"  // stopped in good order, and started again
	Pause    Kind = "pause"    // SIGSTOP for Lasting
	Cut      Kind = "cut"      // its connections are reset, and for Lasting every new one
	Delay    Kind = "delay"    // all that it sends and is sent comes By later, for Lasting
	Overtime Kind = "overtime" // charges take longer than a hold lives, for Lasting
	Wipe     Kind = "wipe"     // FLUSHALL
	Forget   Kind = "forget"   // SCRIPT FLUSH
	Throng   Kind = "throng"   // others of its kind join its consumer groups, and leave
	Crash    Kind = "crash"    // started again to die at Point, the Nth time it is reached
)

// Fault is one thing that goes wrong. Durations are exact: a schedule can be replayed.
type Fault struct {
	At      time.Duration    `json:"at"` // since the first buyer could arrive, in nanoseconds; later if its target is still suffering from the one before
	Kind    Kind             `json:"kind"`
	Target  Target           `json:"target"`
	Lasting time.Duration    `json:"lasting,omitempty"`
	By      time.Duration    `json:"by,omitempty"`
	Point   crashpoint.Point `json:"point,omitempty"`
	Nth     int              `json:"nth,omitempty"`
}

// String is one line.
func (f Fault) String() string {
	text := fmt.Sprintf("%s %s", f.Kind, f.Target)
	if f.Point != "" {
		text += fmt.Sprintf(" at %q, the %d. time", f.Point, f.Nth)
	}
	if f.By > 0 {
		text += fmt.Sprintf(" by %v", f.By)
	}
	if f.Lasting > 0 {
		text += fmt.Sprintf(" for %v", f.Lasting)
	}
	return text
}

// The shape of a schedule.
const (
	calm         = 4 * time.Second // before the first fault: the storm shows that it is one
	quietEnd     = 3 * time.Second // before the last buyer arrives: the last faults meet buyers, too
	faultEvery   = 7 * time.Second // one of the deck
	crashEvery   = 15 * time.Second
	together     = 1.0 / 3 // of the faults begin with the one before
	mostPasses   = 3       // of a crash point, before it is deadly
	longestPause = 30 * time.Second
	longestGone  = 2 * time.Second // of what is killed
	longestCut   = 3 * time.Second
	longestDelay = 400 * time.Millisecond
	longestSlow  = 6 * time.Second // how long a delay lasts
)

// card is a fault without its time.
type card struct {
	kind   Kind
	target Target
}

// deck is every fault but the crashes, each once, well mixed. Consecutive seeds are
// dealt consecutive cards, so that a few runs get through all of them.
var deck = func() []card {
	var cards []card
	for _, kind := range []Kind{Kill, Pause, Cut, Delay} {
		for _, target := range targets {
			cards = append(cards, card{kind, target})
		}
	}
	cards = append(cards, card{Restart, Kafka}, card{Wipe, Redis}, card{Forget, Redis}, card{Throng, Settle}, card{Overtime, Payment})
	mixed := make([]card, len(cards))
	for i, j := range rand.New(rand.NewPCG(33, 33)).Perm(len(cards)) {
		mixed[i] = cards[j]
	}
	return mixed
}()

// Plan returns the schedule of a run, earliest first. The same arguments give the same
// schedule; the hold time is how long a hold of the run's event lives.
func Plan(seed uint64, duration, holdTime time.Duration) []Fault {
	rng := rand.New(rand.NewPCG(seed, scheduleStream))
	first := min(calm, duration/3)
	span := max(duration-first-quietEnd, time.Second)
	at := func(part float64) time.Duration {
		return first + time.Duration(part*float64(span)).Truncate(time.Millisecond)
	}
	faults := []Fault{}
	dealt := uint64(max(2, duration/faultEvery))
	for i := range dealt {
		c := deck[(seed*dealt+i)%uint64(len(deck))]
		f := Fault{Kind: c.kind, Target: c.target, At: at(rng.Float64())}
		f.draw(rng, holdTime)
		faults = append(faults, f)
	}
	crashes := uint64(max(1, duration/crashEvery))
	for i := range crashes {
		p := crashpoint.OfPurchases[(seed*crashes+i)%uint64(len(crashpoint.OfPurchases))]
		// Early: a point is reached by purchases, and those end with the storm.
		faults = append(faults, Fault{Kind: Crash, Target: home(p), At: at(rng.Float64() / 2), Point: p, Nth: 1 + rng.IntN(mostPasses)})
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	for i := range faults[1:] {
		if rng.Float64() < together {
			faults[i+1].At = faults[i].At
		}
	}
	faults[0].At = first
	return faults
}

// scheduleStream keeps the schedule's random numbers apart from the buyers'.
const scheduleStream = 1<<63 + 1

// draw decides how long a fault lasts and how bad it is.
func (f *Fault) draw(rng *rand.Rand, holdTime time.Duration) {
	upTo := func(longest time.Duration) time.Duration {
		return time.Duration(rng.Int64N(int64(longest))).Truncate(time.Millisecond) + time.Millisecond
	}
	switch f.Kind {
	case Kill:
		f.Lasting = upTo(longestGone)
	case Pause: // more short ones than long ones
		third := rng.Float64()
		f.Lasting = time.Second + time.Duration(third*third*third*float64(longestPause-time.Second)).Truncate(time.Millisecond)
	case Cut:
		f.Lasting = upTo(longestCut)
	case Delay:
		f.By, f.Lasting = upTo(longestDelay), upTo(longestSlow)
	case Overtime: // a question and its answer are each late
		f.By, f.Lasting = holdTime/2+250*time.Millisecond, holdTime+longestSlow
	case Throng:
		f.Lasting = upTo(longestSlow)
	}
}

// home is where a point is reached: in which process's code.
func home(p crashpoint.Point) Target {
	switch p {
	case crashpoint.AfterPin, crashpoint.AfterProduce, crashpoint.AfterRefundCommit:
		return Front
	case crashpoint.BeforeTellingBuyer:
		return Feed
	}
	return Settle
}

// holdTimes are those that a run's event may have, so short that many a hold ends
// before it is paid for.
var holdTimes = []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second}

func holdTimeOf(seed uint64) time.Duration { return holdTimes[seed%uint64(len(holdTimes))] }
