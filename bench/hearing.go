package bench

import (
	"encoding/json"
	"errors"
	"io"
)

// How long what a storm and its workers say to each other may be, in bytes. Before its token is known nobody is heard
// for longer than a greeting.
const (
	maxGreeting = 4 << 10
	// maxDuty is far more than the largest event, which a worker is told of.
	maxDuty = 64 << 20
	// maxTidings is far more than the ledger of 200,000 buyers whose every ask was refused.
	maxTidings = 1 << 30
)

var errTooMuch = errors.New("more was said at once than there can be to say")

// hearing reads what the other side says, none of which may be longer than it is told to expect. One goroutine uses it.
type hearing struct {
	from io.Reader
	left int64 // bytes that may still come
	in   *json.Decoder
}

func newHearing(from io.Reader) *hearing {
	h := &hearing{from: from}
	h.in = json.NewDecoder(h)
	return h
}

// next waits for what is said next.
func (h *hearing) next(into any, most int64) error {
	h.left = most // what has come already, with what was said before, is less than that was
	return h.in.Decode(into)
}

// Read is the decoder's.
func (h *hearing) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errTooMuch
	}
	n, err := h.from.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}
