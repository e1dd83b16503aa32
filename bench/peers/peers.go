// Package peers has what Onsale is measured against: the floor, and the ways in which
// others sell tickets, written as small as can be and honest. README.md says what they
// are, what each leaves out, and how to add another.
//
// What they promise: never more holds than an event's capacity; what is refused left
// nothing behind; a buyer has no more than the event's limit; who asks again under the same key is
// given the same admission. What they leave out, in their favour: nothing ever expires or is given
// back, nobody is told of what changes, a token is taken for its buyer without being checked,
// and there is one kind of ticket.
package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Peer is a way of selling tickets. Safe for concurrent use. What it knows is in its
// store and not in the process, so that many processes could sell from the same.
type Peer interface {
	// Open puts an event on sale: so many admissions, and so many of them at most for
	// one buyer. It is called once for an event, before any hold of it.
	Open(ctx context.Context, event string, capacity, limit int64) error
	// Hold gives a buyer one admission and returns its number, from 1 to the capacity, which nobody else
	// is given; or, under a key that the buyer has used before, the one that it was given
	// then. Errors: ErrNoneLeft, ErrLimit, ErrBusy; after any other nobody knows what was done.
	Hold(ctx context.Context, r Request) (admission int64, err error)
	// Sold is how many holds of an event there are: counted among the holds themselves,
	// not what the number that decides of them says.
	Sold(ctx context.Context, event string) (int64, error)
	// Close lets go of everything, the stores too.
	Close() error
}

// Request is a buyer's wish for one admission.
type Request struct {
	Event, Buyer string
	Key          string // the buyer's own: the same is the same wish
}

// The refusals. What is refused has changed nothing.
var (
	ErrNoneLeft = errors.New("none is left")
	ErrLimit    = errors.New("the buyer has all that one may have")
	ErrBusy     = errors.New("too many ask at once: ask again")
)

// Way is a peer that can be run.
type Way struct {
	Name string
	Is   string // in a line
	open func(context.Context) (Peer, error)
	// serve is how it speaks HTTP.
	serve func(context.Context, Peer, func(url string) error) error
}

// ways are all of them, those first that are measured unless others are asked for.
var ways = []Way{
	{"rows", "Postgres, a row a seat: FOR UPDATE SKIP LOCKED", openRows, serveFast},
	{"counter", "Postgres, one row that counts: UPDATE … WHERE remaining > 0", openCounter, serveFast},
	{"lua", "net/http, and one Lua call to Redis for each hold", openLua, serveNetHTTP},
	{"watch", "Redis: WATCH, read, MULTI … EXEC, again until nobody was faster", openWatch, serveFast},
	{"setnx", "Redis: SET NX as a lock, read, write, unlock", openSetNX, serveFast},
	{"lua_fast", "lua with fasthttp in place of net/http", openLua, serveFast},
}

// usual is how many of the ways are measured unless others are asked for.
const usual = 5

// Usual are the names of the ways that are measured unless others are asked for.
func Usual() []string { return names(ways[:usual]) }

// All are the names of all ways.
func All() []string { return names(ways) }

func names(of []Way) []string {
	var all []string
	for _, w := range of {
		all = append(all, w.Name)
	}
	return all
}

// Find returns the way of a name.
func Find(name string) (Way, bool) {
	at := slices.IndexFunc(ways, func(w Way) bool { return w.Name == name })
	if at < 0 {
		return Way{}, false
	}
	return ways[at], true
}

// Run opens the peer, with stores of its own, and lets it serve on a free loopback port until ctx
// ends. ready is told the URL.
func (w Way) Run(ctx context.Context, ready func(url string) error) error {
	peer, err := w.open(ctx)
	if err != nil {
		return fmt.Errorf("peer %s: %w", w.Name, err)
	}
	return errors.Join(w.serve(ctx, peer, ready), peer.Close())
}
