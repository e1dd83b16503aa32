package feed

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"onsale"
)

// What the bench and its workers say to each other: a JSON line each way, one task at a
// time. Times are nanoseconds since 1970 by the machine's clock, which all share.

// The tasks of a crowd, and of a floor.
const (
	doOpen    = "open"    // open feeds, or bare sockets, and say when all are open
	doClose   = "close"   // close the bare sockets
	doArm     = "arm"     // note when each connection has its next update
	doCollect = "collect" // say so, once all have it
	doDeafen  = "deafen"  // have some feeds stop reading, with full buffers
	doRouse   = "rouse"   // have them read again
	doHerd    = "herd"    // cut every feed, open them all at once, and say when all are open
	doChurn   = "churn"   // close and open so many a second, from now on
	doTake    = "take"    // say what was measured since the last time
	doCheck   = "check"   // compare every feed's view with the server's
	doListen  = "listen"  // a floor: say where
	doAccept  = "accept"  // a floor: take so many connections
	doBeat    = "beat"    // a floor: ping all of them and have their answers
	doSend    = "send"    // a floor: write these bytes to all of them
)

// task is what the bench asks of a worker.
type task struct {
	Do       string               `json:"do"`
	Targets  []string             `json:"targets,omitempty"`  // open: host:port of the servers, taken in turn
	Source   string               `json:"source,omitempty"`   // open: the address to connect from
	Path     string               `json:"path,omitempty"`     // open: of the feed; "" opens bare sockets
	Protocol string               `json:"protocol,omitempty"` // open: the subprotocol of the feeds
	Count    int                  `json:"count,omitempty"`    // open, deafen, accept: connections; churn: connections a second
	Abreast  int                  `json:"abreast,omitempty"`  // open, herd: how many may be opening at once
	Bare     bool                 `json:"bare,omitempty"`     // arm: the bare sockets, not the feeds
	Since    int64                `json:"since,omitempty"`    // collect: when the update was sent
	Bytes    []byte               `json:"bytes,omitempty"`    // send
	View     *onsale.FeedSnapshot `json:"view,omitempty"`     // check
}

// outcome is a worker's answer.
type outcome struct {
	Error   string `json:"error,omitempty"`
	Address string `json:"address,omitempty"` // listen
	Count   int    `json:"count"`             // collect: connections that have it; take: open feeds; check: feeds that agree
	Last    int64  `json:"last,omitempty"`    // collect: when the last one had it
	Took    []byte `json:"took,omitempty"`    // collect: how long each took, encoded
	Frame   []byte `json:"frame,omitempty"`   // collect: the newest delta's text

	Delivery []byte   `json:"delivery,omitempty"` // take: the newest change of a delta → it is folded, encoded
	Stale    []byte   `json:"stale,omitempty"`    // take: the oldest change of a delta → it is folded, encoded
	Deltas   int64    `json:"deltas,omitempty"`   // take
	Gaps     int64    `json:"gaps,omitempty"`     // take: sequences that were missed, and asked for again
	Dropped  int64    `json:"dropped,omitempty"`  // take: feeds that ended by themselves
	Refused  int64    `json:"refused,omitempty"`  // take: answered 503, and tried again
	Failed   int64    `json:"failed,omitempty"`   // take: connections that did not come about, and were tried again
	Opened   int64    `json:"opened,omitempty"`   // take: feeds that came to a snapshot
	Why      string   `json:"why,omitempty"`      // take: why the last one was dropped or failed
	Broken   []string `json:"broken,omitempty"`   // take: what the server did against the protocol; check: views that differ
}

// collectWithin is how long an update may take to everybody.
const collectWithin = 2 * time.Minute

// The range of a time that a crowd measures, in microseconds, and its precision.
const (
	shortest = 1
	longest  = int64(10 * 60 * 1e6)
	digits   = 3
)

// times is how long something took, many times over.
type times struct{ *hdrhistogram.Histogram }

func newTimes() times { return times{hdrhistogram.New(shortest, longest, digits)} }

// note notes so many nanoseconds; what is out of range counts as its end.
func (t times) note(nanos int64) {
	_ = t.RecordValue(min(max(nanos/1000, shortest), longest)) // it is in range
}

// ms is the time that so many percent didn't exceed, in milliseconds; 0 of none.
func (t times) ms(percent float64) float64 {
	if t.TotalCount() == 0 {
		return 0
	}
	return float64(t.ValueAtPercentile(percent)) / 1e3
}

func (t times) encode() ([]byte, error) {
	return t.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// add adds what another process has encoded; nothing is fine.
func (t times) add(encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	other, err := hdrhistogram.Decode(encoded)
	if err == nil {
		t.Merge(other)
	}
	return err
}
