// Package holds keeps soft holds: owned, expiring claims on inventory that live
// in Redis, each rule decided in one Lua call.
//
// The way of a request: Desk (words to arguments, replies to words) → batcher
// (many requests, one call) → lua/apply.lua (the operations, on one book that is
// written once) → Redis → publish → Mirror (each process's own view) → feed.
//
// Redis may forget. What it decides is allowed to be wrong in one direction only,
// refusing what could be had: whose seat it is, Postgres decides later. Everything
// is repeatable by the hold's id, so that a broken connection is never a question.
package holds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"onsale"
)

const (
	// again is what hold.lua answers when more is due than one call may put back.
	again = "again"
	// reapRounds is how often it is asked again then: many thousand holds may have ended at once.
	reapRounds = 32
)

// Config says how a Desk works.
type Config struct {
	Client    rueidis.Client // required; the desk doesn't close it
	Namespace string         // before every key; default "onsale"
	Secret    []byte         // required: derives hold ids from idempotency keys
	Memory    time.Duration  // how long an ended hold is remembered; default onsale.HoldMemory
}

// Desk answers whoever asks for a hold or about one. Safe for concurrent use.
type Desk struct {
	cfg    Config
	ids    *onsale.HoldIDs
	master *place         // reads through the client
	wg     sync.WaitGroup // calls in flight

	mu       sync.Mutex
	batchers map[bookID]*batcher // under mu
	gates    map[bookID]*gate    // under mu; of stripes alone
	closed   bool                // under mu

	mirrors atomic.Pointer[Mirrors] // nil if there are none
}

// NewDesk returns a desk.
func NewDesk(cfg Config) *Desk {
	if cfg.Namespace == "" {
		cfg.Namespace = "onsale"
	}
	if cfg.Memory == 0 {
		cfg.Memory = onsale.HoldMemory
	}
	return &Desk{cfg: cfg, ids: onsale.NewHoldIDs(cfg.Secret), master: newPlace(cfg.Client, false),
		batchers: map[bookID]*batcher{}, gates: map[bookID]*gate{}}
}

// Start implements lifecycle.Part; a desk has nothing to start.
func (d *Desk) Start(context.Context) error { return nil }

// Stop refuses new requests and waits for the calls in flight.
func (d *Desk) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	for _, b := range d.batchers {
		b.close()
	}
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { d.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("holds: calls still in flight: %w", ctx.Err())
	}
}

// batcher returns that of an event's first book; epoch is what a new one begins with.
func (d *Desk) batcher(event onsale.EventID, epoch onsale.Epoch) *batcher {
	return d.book(bookID{event: event}, epoch)
}

// book returns a book's batcher; epoch is what a new one begins with.
func (d *Desk) book(id bookID, epoch onsale.Epoch) *batcher {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.batchers[id]
	if b == nil {
		k := id.keys(d.cfg.Namespace)
		b = &batcher{client: d.cfg.Client, script: applyScript, keys: k, wg: &d.wg, half: make(chan struct{}, 1), closed: d.closed,
			whose: func(ctx context.Context) (string, error) { return d.run(ctx, k) },
			saw:   func(seen sighting) { d.saw(id, seen) }}
		b.epoch.Store(uint64(epoch))
		d.batchers[id] = b
	}
	return b
}

// home returns the batcher of the book that has what is a buyer's.
func (d *Desk) home(l *onsale.Layout, buyer onsale.BuyerID) *batcher {
	return d.book(homeOf(l.Event, buyer), l.Event.Epoch)
}

// gate returns a stripe's.
func (d *Desk) gate(id bookID) *gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.gates[id]
	if g == nil {
		g = &gate{}
		d.gates[id] = g
	}
	return g
}

// saw hands on what a call's reply told of the stock.
func (d *Desk) saw(id bookID, seen sighting) {
	if m := d.mirrors.Load(); m != nil {
		m.saw(id, seen)
	}
}

// known is the refusal of a request that this process can refuse by itself, or nil.
func (d *Desk) known(l *onsale.Layout, r *Request, id onsale.HoldID) error {
	if m := d.mirrors.Load(); m != nil {
		return m.refuse(l, r, id)
	}
	return nil
}

// nearby has a refusal say what could be had instead, if this process knows.
func (d *Desk) nearby(l *onsale.Layout, r *Request, refusal error) error {
	if m := d.mirrors.Load(); m != nil {
		return m.nearby(l, r.Asks, refusal)
	}
	return refusal
}

// Request asks for a hold.
type Request struct {
	Buyer onsale.BuyerID
	Asks  []onsale.CheckedAsk // as Layout.CheckAsks has completed them
	Key   string              // the Idempotency-Key, "" if none
	Form  *Form               // of the asks, if it is at hand; else nil
}

// Hold takes inventory for a buyer: all that is asked for or nothing. The same key
// and asks give the same hold, whatever it has become since.
//
// Errors: not_on_sale; sold_out, not_together, seat_taken and accessible_only (with
// what is left or taken); buyer_limit, too_often, key_reused; recovering, overloaded, unavailable (nothing is known
// to have happened; with a key, asking again is safe).
func (d *Desk) Hold(ctx context.Context, l *onsale.Layout, r Request) (onsale.Hold, error) {
	b := d.home(l, r.Buyer)
	var name string
	var args []string // who is refused by what this process knows needs none
	var id onsale.HoldID
	reply := ""
	err := d.inEpoch(ctx, b, func(epoch onsale.Epoch) (err error) {
		id = d.newID(l, &r, epoch)
		if known := d.known(l, &r, id); known != nil {
			return known
		}
		if l.Event.Striped() {
			reply, err = d.holdStriped(l, id, r)
			return err
		}
		if args == nil {
			name, args = r.arguments()
		}
		for range reapRounds {
			if reply, err = d.ask(b, newOperation(name, id, r.Buyer, args...)); err != nil || reply != again {
				break
			}
		}
		return err
	})
	if err != nil {
		return onsale.Hold{}, err
	}
	return d.decided(l, &r, id, reply)
}

// newID is the id of a request's hold in an epoch.
func (d *Desk) newID(l *onsale.Layout, r *Request, epoch onsale.Epoch) onsale.HoldID {
	if r.Key == "" {
		return onsale.NewHoldID(l.Event.ID, epoch)
	}
	return d.ids.Derive(l.Event.ID, epoch, r.Buyer, r.Key)
}

// okay is how a reply begins that grants a hold, or has before.
const okay = "ok"

// decided puts what Redis has answered to a request into words.
func (d *Desk) decided(l *onsale.Layout, r *Request, id onsale.HoldID, reply string) (onsale.Hold, error) {
	word, rest, _ := strings.Cut(reply, " ")
	if word != okay {
		return onsale.Hold{}, d.nearby(l, r, refusal(l, *r, word, rest))
	}
	known, rec, err := parseGrant(rest)
	if err != nil {
		return onsale.Hold{}, err
	}
	if known != "=" {
		id = onsale.HoldID(known) // it was granted before its stock was laid anew
	}
	rec.buyer = r.Buyer
	return rec.hold(id, l)
}

// Release gives a hold back. Releasing it again is no error. generation 0 means any.
//
// Errors: unknown_hold (also another buyer's), hold_ended (expired or sold, or the
// generation is another), hold_pinned (a payment is being decided).
func (d *Desk) Release(ctx context.Context, l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID, generation uint64) error {
	_, err := d.byOwner(ctx, l, id, "release", buyer, strconv.FormatUint(generation, 10))
	return err
}

// Extend gives a held hold more time, once, if its event allows it. Extending it
// again is no error, and gives no more. generation 0 means any.
//
// Errors: Release's, and not_extendable.
func (d *Desk) Extend(ctx context.Context, l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID, generation uint64) (onsale.Hold, error) {
	return d.recordOf(ctx, l, id, "extend", buyer, strconv.FormatUint(generation, 10))
}

// Pin keeps a hold from expiring while its order is decided. Pinning it again, or
// when it is sold already, is no error. generation 0 means any.
//
// Errors: as Release's, and hold_ended if the generation is another.
func (d *Desk) Pin(ctx context.Context, l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID, generation uint64) (onsale.Hold, error) {
	return d.recordOf(ctx, l, id, "pin", buyer, strconv.FormatUint(generation, 10))
}

// Look returns a buyer's hold as it is now. Errors: unknown_hold.
func (d *Desk) Look(ctx context.Context, l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID) (onsale.Hold, error) {
	return d.recordOf(ctx, l, id, "look", buyer)
}

func (d *Desk) recordOf(ctx context.Context, l *onsale.Layout, id onsale.HoldID, name string, buyer onsale.BuyerID, args ...string) (onsale.Hold, error) {
	return holdOf(l, id)(d.byOwner(ctx, l, id, name, buyer, args...))
}

// holdOf reads a hold's record, if there is one.
func holdOf(l *onsale.Layout, id onsale.HoldID) func(text string, err error) (onsale.Hold, error) {
	return func(text string, err error) (onsale.Hold, error) {
		if err != nil {
			return onsale.Hold{}, err
		}
		rec, err := parseRecord(text)
		if err != nil {
			return onsale.Hold{}, err
		}
		return rec.hold(id, l)
	}
}

// byOwner asks something that only the hold's buyer may ask.
func (d *Desk) byOwner(ctx context.Context, l *onsale.Layout, id onsale.HoldID, name string, buyer onsale.BuyerID, args ...string) (string, error) {
	b := d.home(l, buyer)
	_, issued, ok := id.Parse()
	if !ok {
		return "", errUnknownHold
	}
	reply, old := "", false
	err := d.inEpoch(ctx, b, func(epoch onsale.Epoch) (err error) {
		old = issued < epoch
		reply, err = d.ask(b, newOperation(name, id, buyer, args...))
		return err
	})
	if err != nil {
		return "", err
	}
	return ownersAnswer(name, reply, old)
}

// ownersAnswer puts what Redis has answered to a hold's owner into words. old tells that the hold
// was issued in an earlier epoch.
func ownersAnswer(name, reply string, old bool) (string, error) {
	if old && reply == "unknown" {
		reply = "ended x" // what an old epoch issued is void, unless a rebuild kept it
	}
	word, rest, _ := strings.Cut(reply, " ")
	switch word {
	case "ok":
		return rest, nil
	case "unknown":
		return "", errUnknownHold
	case "pinned":
		return "", onsale.Refuse(onsale.CodeHoldPinned, "the hold is being bought; it can't be released")
	case "not_extendable":
		return "", onsale.Refuse(onsale.CodeNotExtendable, "the hold can't be extended, or not again; pay before it ends")
	case "stale":
		return "", onsale.Refuse(onsale.CodeHoldEnded, "the hold has changed; read it again")
	case "ended":
		return "", onsale.Refuse(onsale.CodeHoldEnded, "the hold is "+string(stateOf[rest[0]])+"; hold again")
	}
	return "", fmt.Errorf("redis answered %q to %s", reply, name)
}

var errUnknownHold = onsale.Refuse(onsale.CodeUnknownHold, "no such hold of yours")

// Accept notes that Kafka has the purchase of a pinned hold. It doesn't wait: if the
// note is lost, a repeated checkout merely produces the purchase again.
func (d *Desk) Accept(l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID, at time.Time) {
	op := newOperation("accept", id, "", strconv.FormatInt(at.UnixMilli(), 10))
	// A full queue, or a desk that stops, loses the note: see above.
	_ = d.home(l, buyer).submit(op)
}

// ask has operations of one kind done, in this order, and returns the last one's reply.
func (d *Desk) ask(b *batcher, ops ...*operation) (reply string, err error) {
	if err := b.submit(ops...); err != nil {
		return "", err
	}
	for _, op := range ops {
		var failed error
		reply, failed = op.await()
		err = errors.Join(err, failed)
	}
	return reply, err
}

// await returns what came of an operation that was submitted. It comes in time by
// itself, so there is nothing else to wait for.
func (o *operation) await() (string, error) {
	out := <-o.done
	doneChannels.Put(o.done)
	return out.reply, out.err
}

// inEpoch calls f with the epoch that this process believes in, again if Redis
// knows better, and puts what went wrong into words for the buyer.
//
// Who has gone already is not asked for. After that ctx plays no part: what was asked may
// have been done, and its answer comes in time by itself; see maxWait.
func (d *Desk) inEpoch(ctx context.Context, b *batcher, f func(onsale.Epoch) error) error {
	if err := ctx.Err(); err != nil {
		return onsale.Busy(onsale.CodeUnavailable, "the request has ended; ask again", time.Second, err)
	}
	var err error
	for range 2 {
		if err = f(onsale.Epoch(b.epoch.Load())); !ofAnotherEpoch(err) {
			break
		}
	}
	return inWords(err)
}

// inWords puts what went wrong with a call into words for the buyer.
func inWords(err error) error {
	if _, refused := errors.AsType[*onsale.Error](err); err == nil || refused { // in words already
		return err
	}
	_, told := errors.AsType[status](err) // by Redis, of its state, not of the request
	switch {
	case told:
		return onsale.Busy(onsale.CodeRecovering, "the event's stock is being rebuilt; ask again", time.Second, err)
	case errors.Is(err, errTransport):
		return onsale.Busy(onsale.CodeUnavailable, "the stock can't be reached; ask again", time.Second, err)
	}
	return err
}

// Ping returns an error if Redis doesn't answer.
func (d *Desk) Ping(ctx context.Context) error {
	c := d.cfg.Client
	if err := c.Do(ctx, c.B().Ping().Build()).Error(); err != nil {
		return fmt.Errorf("redis does not answer: %w", err)
	}
	return nil
}
