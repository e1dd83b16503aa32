package holds

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"onsale"
)

const (
	// bringTries is how often a hold is asked for at a stripe that is short. Each time
	// but the last, others had what was brought: so others had success.
	bringTries = 16
	// stockPause is when to ask again if they had all of it.
	stockPause = time.Second
)

// gate lets one request at a time, of this process, bring stock to a stripe. The others
// wait, and see whether what was brought is enough for them too.
type gate struct {
	mu      sync.Mutex
	brought atomic.Uint64 // how often; changed under mu
}

func (g *gate) times() uint64 { return g.brought.Load() }

// errBroughtAlready says that somebody has brought stock meanwhile.
var errBroughtAlready = errors.New("stock was brought meanwhile")

// pass calls f, unless somebody has passed since seen.
func (g *gate) pass(seen uint64, f func() (string, error)) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.brought.Load() != seen {
		return "", errBroughtAlready
	}
	g.brought.Add(1) // also if f fails: those who wait then find out by themselves, at once and not one by one
	return f()
}

// holdStriped asks for a hold at the buyer's home, and brings stock there for as long
// as other stripes have some. It answers what hold.lua would if all were one.
func (d *Desk) holdStriped(l *onsale.Layout, id onsale.HoldID, r Request) (string, error) {
	home := homeOf(l.Event, r.Buyer)
	b, g, places := d.book(home, l.Event.Epoch), d.gate(home), newChoice(r)
	for began, try := time.Now(), 0; try < bringTries && time.Since(began) < maxWait; try++ {
		seen := g.times()
		reply, err := d.ask(b, places.operation(id))
		section, short := soldOutOf(reply)
		if err != nil || !short {
			return reply, err
		}
		wanted := places.wanted(section)
		stripes, err := d.survey(l, section, wanted)
		if err != nil {
			return "", err
		}
		if left := available(stripes); left < int64(wanted) {
			if loans := underWay(section, stripes); len(loans) > 0 {
				err = d.deliver(l, loans)
			} else if !places.elsewhere(section, left) {
				return places.refusal(), nil
			}
			if err != nil {
				return "", err
			}
			continue
		}
		reply, err = g.pass(seen, func() (string, error) {
			loans, err := d.lend(l, section, home.stripe, wanted, stripes)
			if err != nil {
				return "", err
			}
			return d.ask(b, append(borrows(loans), places.operation(id))...)
		})
		if errors.Is(err, errBroughtAlready) {
			continue
		}
		if _, short := soldOutOf(reply); err != nil || !short {
			return reply, err
		}
	}
	return "", onsale.Busy(onsale.CodeOverloaded, "many want the last admissions; ask again", stockPause, nil)
}

// borrows are the operations that bring loans to one stripe. Sent before a hold they
// are done before it, most often in the same call: so nobody else has what was brought.
func borrows(loans []loan) []*operation {
	ops := make([]*operation, len(loans), len(loans)+1)
	for i, t := range loans {
		ops[i] = t.borrow()
	}
	return ops
}

// soldOutOf returns which section a reply says is sold out.
func soldOutOf(reply string) (section int, ok bool) {
	rest, ok := strings.CutPrefix(reply, "sold_out ")
	if !ok {
		return 0, false
	}
	index, _, _ := strings.Cut(rest, " ")
	section, err := strconv.Atoi(index)
	return section, err == nil
}

// choice is where a request looks for each of its asks: in one section at a time, which
// is passed over only once no stripe has enough of it.
type choice struct {
	request Request
	asks    []onsale.CheckedAsk // the request's, each in what is left of its sections
	section int                 // of those passed over, the one with most left
	left    int64               // of it; -1: none was passed over
}

func newChoice(r Request) *choice {
	return &choice{request: r, asks: append([]onsale.CheckedAsk(nil), r.Asks...), left: -1}
}

// operation asks for the hold where the choice stands. Its fingerprint is that of
// all that was asked for, so that a repeat is one wherever it is answered.
func (c *choice) operation(id onsale.HoldID) *operation {
	narrow := c.request
	narrow.Asks = make([]onsale.CheckedAsk, len(c.asks))
	for i, a := range c.asks {
		a.In = a.In[:1]
		narrow.Asks[i] = a
	}
	whole, asked := holdArgs(c.request)
	name, args := holdArgs(narrow)
	args[fingerprintAt(name)] = asked[fingerprintAt(whole)]
	return newOperation(name, id, c.request.Buyer, args...)
}

// wanted is how much of a section is asked for, all asks together.
func (c *choice) wanted(section int) (n int) {
	for _, a := range c.asks {
		if a.In[0].Index == section {
			n += a.Quantity
		}
	}
	return n
}

// elsewhere passes over a section, which has so much left, for the last of the asks
// that can look elsewhere. It returns false if none can.
func (c *choice) elsewhere(section int, left int64) bool {
	if left > c.left {
		c.section, c.left = section, left
	}
	for i := len(c.asks) - 1; i >= 0; i-- {
		if a := &c.asks[i]; a.In[0].Index == section && len(a.In) > 1 {
			a.In = a.In[1:]
			return true
		}
	}
	return false
}

// refusal is the answer once nothing is left to choose.
func (c *choice) refusal() string { return fmt.Sprintf("sold_out %d %d", c.section, c.left) }
