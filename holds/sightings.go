package holds

import (
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"onsale"
)

// sighting is what a call's reply told.
type sighting struct {
	epoch onsale.Epoch
	seq   uint64
	due   time.Time // when the next hold is due, zero if none is
	now   time.Time // by Redis's clock
	sent  time.Time // when the call was sent, by ours

	granted []string // tails of the ids that the call has granted, now or before
	frees   bool     // something may have been given back in it
}

// hear takes over what the call's replies say of holds.
func (s *sighting) hear(batch []*operation, replies []string) {
	for i, reply := range replies {
		op := batch[i]
		switch {
		case op.name == "release", op.name == "free", op.name == "refund":
			s.frees = true
		case isKeyed(op) && strings.HasPrefix(reply, okay+" "):
			s.granted = append(s.granted, tailOf(op.hold))
		}
	}
}

// isKeyed reports whether an operation asks for a hold under a key: only such may be repeated.
func isKeyed(op *operation) bool {
	switch op.name {
	case "hold", "general", "block":
		return op.args[fingerprintAt(op.name)] != keyless
	}
	return false
}

// sightings are what the calls of this process have told of a stock.
type sightings struct {
	newest sighting // the one with the latest seq
	caught sighting // the last one that the mirror has caught up with
	ahead  sighting // the first one that it has yet to catch up with; zero if there is none
	freed  uint64   // the seq of the last one that may have given something back, in the newest's epoch
}

// note takes a call's reply over, unless a later one was here first. While a sale is busy there is always a reply that the mirror
// hasn't caught up with. So the first such is waited for, and not each time the next.
func (s *sightings) note(seen sighting) (newest bool) {
	if seen.epoch < s.newest.epoch || seen.epoch == s.newest.epoch && seen.seq < s.newest.seq {
		if seen.frees && seen.epoch == s.newest.epoch {
			s.freed = max(s.freed, seen.seq)
		}
		return false
	}
	if seen.epoch > s.newest.epoch {
		s.freed = 0
	}
	if seen.frees {
		s.freed = seen.seq
	}
	s.newest = seen
	if s.ahead.sent.IsZero() || s.ahead.epoch != seen.epoch {
		s.ahead = seen
	}
	return true
}

// catchUp returns the last one that a mirror has caught up with whose stock is at that seq of that epoch; nil if something
// was given back since, which somebody may know, and want; or if there is a newer epoch. What has expired since its call says
// by itself, being due.
func (s *sightings) catchUp(epoch onsale.Epoch, seq uint64) *sighting {
	if !s.ahead.sent.IsZero() && s.ahead.epoch == epoch && s.ahead.seq <= seq {
		s.caught, s.ahead = s.ahead, s.newest
	}
	if n := &s.newest; n.epoch == epoch && n.seq <= seq {
		s.caught, s.ahead = *n, sighting{}
	}
	if s.newest.epoch != epoch || s.freed > seq {
		return nil
	}
	return &s.caught
}

// read takes over a reply's clock, seq and next due time.
func (s *sighting) read(reply []rueidis.RedisMessage) error {
	var numbers [3]int64
	for i := range numbers {
		n, err := reply[i].AsInt64()
		if err != nil {
			return fmt.Errorf("read what apply tells of the stock: %w", err)
		}
		numbers[i] = n
	}
	s.now, s.seq, s.due = fromMs(numbers[0]), uint64(numbers[1]), fromMs(numbers[2])
	return nil
}
