package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"onsale"
	"onsale/bench/timeline"
)

// The range of a latency, in microseconds, and its precision. A longer one counts as the longest.
const (
	shortestLatency   = 1
	longestLatency    = int64(maxResultTimeout / time.Microsecond)
	significantDigits = 3
)

// latency is a histogram of how long something took, counted from when it *should*
// have begun: a buyer who was kept waiting by the answer before this one has waited
// for it all the same. That is what corrects for coordinated omission (Gil Tene).
type latency struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram // under mu; nil until the first is recorded

	line *timeline.Durations // by the moment; nil if nobody wants to know; set before anything is recorded
}

// since records the time from due until now.
func (l *latency) since(due time.Time) { l.record(time.Since(due)) }

func (l *latency) record(d time.Duration) { l.recordAt(time.Now(), d) }

// recordAt records what took so long and was over at the given moment.
func (l *latency) recordAt(at time.Time, d time.Duration) {
	l.line.Took(at, d, 1)
	us := min(max(d.Microseconds(), shortestLatency), longestLatency)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist == nil {
		l.hist = hdrhistogram.New(shortestLatency, longestLatency, significantDigits)
	}
	// The value is within the histogram's range, so there is no error to meet.
	_ = l.hist.RecordValue(us)
}

// Quantiles is what a report tells of a latency.
type Quantiles struct {
	Count              int64
	P50, P95, P99, Max time.Duration
}

func (l *latency) quantiles() Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist == nil {
		return Quantiles{}
	}
	v := l.hist.ValueAtPercentilesSlice([]float64{50, 95, 99})
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return Quantiles{Count: l.hist.TotalCount(), P50: us(v[0]), P95: us(v[1]), P99: us(v[2]), Max: us(l.hist.Max())}
}

// measured is everything that is counted and timed while a rush runs. All of it may
// be used from any goroutine.
type measured struct {
	// What never came is in them too, with the time that was waited for it. An answer is a definite one: who
	// is told to come again later waits on.
	session   latency // due → signed in
	feedOpen  latency // due → the first snapshot is folded
	hold      latency // due → held or refused
	checkout  latency // due → accepted or refused
	settle    latency // accepted → the order came to its end
	staleness latency // the newest of a delta's changes happened → the delta was folded; older ones waited longer. Not by another machine's clock
	answered  latency // arrived → the first hold was granted, definitely refused or given up, once a buyer
	late      latency // due → really sent: how far the bench itself is behind its schedule

	botHold     latency // as hold, of bots; theirs are in no other but feedOpen, settle, staleness and late
	botCheckout latency // as checkout, of bots
	expiryLag   latency // the deadline of a hold that was let go → a feed that shows its seats as available. Not by another machine's clock

	requests atomic.Int64       // HTTP requests sent, repeats included
	busy     atomic.Int64       // 429 and 503 among the answers
	silent   atomic.Int64       // requests and feeds that were never answered, or never but with "later", however often they were repeated
	errors   atomic.Int64       // requests without an answer, and answers that no buyer should ever see
	codes    codeCounts         // requests by the code of their refusal
	line     *timeline.Recorder // all of it by the moment; nil if nobody wants to know

	arrived  atomic.Int64 // buyers
	active   atomic.Int64 // buyers who have arrived and not left
	held     atomic.Int64 // holds, bots' too
	admitted atomic.Int64 // admissions of ticketed orders
	sold     atomic.Int64 // ticketed orders
	declined atomic.Int64 // orders
	rejected atomic.Int64 // orders
	refunded atomic.Int64 // orders
	refused  atomic.Int64 // holds and checkouts answered with a refusal
	expired  atomic.Int64 // holds that were let go, or not paid in time
	unseen   atomic.Int64 // holds that were let go, and whose deadline is too far away to be waited for, or by another machine's clock
	released atomic.Int64 // holds given back
	accepted atomic.Int64 // orders answered with 202
	paying   atomic.Int64 // checkouts sent, repeats not counted
	overdue  atomic.Int64 // orders whose end the buyer was not told in time
	polled   atomic.Int64 // orders whose end was found by asking, not on the feed
	emptied  atomic.Int64 // buyers who left with nothing because nothing was left

	doubled atomic.Int64 // second clicks
	cut     atomic.Int64 // requests whose connection was lost on purpose before an answer

	bots         atomic.Int64 // buyers who are
	botHeld      atomic.Int64 // holds of theirs
	botRefused   atomic.Int64 // asked for by them in vain, for want of stock
	botLimited   atomic.Int64 // asked for by them in vain, beyond what a buyer may have
	botThrottled atomic.Int64 // asked for by them in vain, more often than a buyer may

	frames    atomic.Int64 // feed frames received
	feedBytes atomic.Int64 // in them
	resumes   atomic.Int64 // gaps found in a feed, and mended
	reopened  atomic.Int64 // feeds closed and opened again on purpose
	cutFeeds  atomic.Int64 // feeds cut on purpose without a word, and taken up from where they were
	dropped   atomic.Int64 // feeds that ended by themselves
	feeds     atomic.Int64 // feeds open now

	feedsToCheck atomic.Int64 // feeds to be compared with the server at the end
	feedsChecked atomic.Int64 // feeds that were
}

// ended counts an order of so many admissions that came to its end.
func (m *measured) ended(state onsale.OrderState, admissions int) {
	switch state {
	case onsale.OrderTicketed:
		m.sold.Add(1)
		m.admitted.Add(int64(admissions))
	case onsale.OrderDeclined:
		m.declined.Add(1)
	case onsale.OrderRejected:
		m.rejected.Add(1)
	case onsale.OrderRefunded:
		m.refunded.Add(1)
	}
}
