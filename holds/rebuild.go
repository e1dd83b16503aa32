package holds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"onsale"
)

// ErrSuperseded says that a rebuild is not needed, or not any more: another one with
// a newer epoch has begun, or the stock is whole.
var ErrSuperseded = errors.New("holds: another rebuild was here first")

// BeginRebuild empties an event's stock and refuses everything until FinishRebuild,
// in a new epoch, which fences whatever was issued before. A stock that this run of
// Redis has laid whole is not emptied: that, and a newer rebuild, are ErrSuperseded.
func (d *Desk) BeginRebuild(ctx context.Context, l *onsale.Layout, epoch onsale.Epoch) error {
	var over onsale.Epoch // up to which a book that is whole is emptied too
	if l.Event.Striped() {
		first, err := d.conditionOf(ctx, bookID{event: l.Event.ID})
		if err != nil {
			return err
		}
		all, err := d.Condition(ctx, l.Event.ID)
		if err != nil {
			return err
		}
		if first.Whole() && !all.Whole() {
			over = first.Epoch // another stripe was lost
		}
	}
	for i, id := range booksOf(l.Event) {
		if i > 0 {
			over = epoch // the first has decided that the event isn't whole
		}
		if err := d.beginBook(ctx, l, id, epoch, over); err != nil {
			return err
		}
	}
	return nil
}

// beginBook is BeginRebuild for one book.
func (d *Desk) beginBook(ctx context.Context, l *onsale.Layout, id bookID, epoch, over onsale.Epoch) error {
	run, err := d.run(ctx, id.keys(d.cfg.Namespace))
	if err != nil {
		return err
	}
	stripes := 1
	if id.stripe == 0 {
		stripes = len(booksOf(l.Event))
	}
	return d.rebuildStep(ctx, id, epoch, "begin", strconv.FormatInt(l.Event.HoldTime().Milliseconds(), 10),
		strconv.Itoa(l.Event.MaxPerBuyer), strconv.FormatInt(d.cfg.Memory.Milliseconds(), 10), run,
		orphans(l.Event), strconv.Itoa(l.Event.HoldsPerMinute), strconv.FormatInt(l.Event.ExtendTime().Milliseconds(), 10),
		strconv.Itoa(stripes), strconv.FormatUint(uint64(over), 10))
}

func orphans(e *onsale.Event) string {
	if e.AllowOrphans {
		return "allowed"
	}
	return "avoided"
}

// Kept is inventory that Postgres says is taken: a live claim.
type Kept struct {
	Hold  onsale.HoldID
	Buyer onsale.BuyerID
	Sold  bool // ticketed; false: its payment is still being decided
	Lines []onsale.Line
	// Refunded says that nothing of it is taken any more: it was ticketed and paid back
	// whole. It is remembered, so that neither old news nor its key sell it again.
	Refunded bool

	AcceptedAt time.Time
}

// rebuildChunk is how many pairs one call writes: well below a millisecond of Redis's time.
const rebuildChunk = 250

// FinishRebuild lays the stock: everything is available but what is kept. The sale
// goes on as given.
func (d *Desk) FinishRebuild(ctx context.Context, l *onsale.Layout, epoch onsale.Epoch, sale onsale.Sale, kept []Kept) error {
	books := booksOf(l.Event)
	shares, err := share(l, books, kept)
	if err != nil {
		return fmt.Errorf("lay %s: %w", l.Event.ID, err)
	}
	for i, id := range slices.Backward(books) { // the first last: while it is whole, all were
		if err := d.finishBook(ctx, l, id, epoch, sale, shares[i]); err != nil {
			return err
		}
	}
	return nil
}

// finishBook is FinishRebuild for one book.
func (d *Desk) finishBook(ctx context.Context, l *onsale.Layout, id bookID, epoch onsale.Epoch, sale onsale.Sale, s bookShare) error {
	f, err := foundationOf(l, epoch, s)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		step  string
		pairs []string
	}{{"holds", f.holds}, {"buyers", f.buyers}, {"pins", f.pins}} {
		for chunk := range slices.Chunk(part.pairs, 2*rebuildChunk) {
			if err := d.rebuildStep(ctx, id, epoch, part.step, chunk...); err != nil {
				return err
			}
		}
	}
	args := []string{string(sale), string(f.seats)}
	for _, c := range f.counts {
		args = append(args, formatCounts(c))
	}
	if err := d.rebuildStep(ctx, id, epoch, "finish", args...); err != nil {
		return err
	}
	d.book(id, epoch).raise(epoch)
	return nil
}

// foundation is what stock is laid of, as Redis keeps it; see book.lua.
type foundation struct {
	seats               []byte
	counts              []onsale.Counts
	holds, buyers, pins []string // in pairs: field and value, or score and member
}

// bookShare is what a book has of its event: of each section so much, and what is kept.
type bookShare struct {
	capacities []int64
	kept       []Kept
}

// share deals an event out to its books: to each what its buyers have kept, and of the
// rest as much as to any other.
func share(l *onsale.Layout, books []bookID, kept []Kept) ([]bookShare, error) {
	shares := make([]bookShare, len(books))
	free := make([]int64, len(l.Sections()))
	for i, s := range l.Sections() {
		free[i] = s.Capacity
	}
	for i := range shares {
		shares[i].capacities = make([]int64, len(free))
	}
	for _, k := range kept {
		s := &shares[homeOf(l.Event, k.Buyer).stripe]
		s.kept = append(s.kept, k)
		if k.Refunded {
			continue
		}
		for _, line := range k.Lines {
			if section := l.Section(line.Section); section != nil { // lay refuses what is unknown
				s.capacities[section.Index] += int64(line.Quantity)
				free[section.Index] -= int64(line.Quantity)
			}
		}
	}
	n := int64(len(shares))
	for section, rest := range free {
		if rest < 0 {
			return nil, fmt.Errorf("more of %s is claimed than it has", l.Sections()[section].ID)
		}
		for i := range shares {
			shares[i].capacities[section] += rest / n
			if int64(i) < rest%n {
				shares[i].capacities[section]++
			}
		}
	}
	return shares, nil
}

func foundationOf(l *onsale.Layout, epoch onsale.Epoch, share bookShare) (*foundation, error) {
	f := &foundation{seats: l.Empty(), counts: make([]onsale.Counts, len(l.Sections()))}
	for i, n := range share.capacities {
		f.counts[i].Available = n
	}
	now := time.Now().UnixMilli()
	written, admissions := make(map[onsale.HoldID]bool, 2*len(share.kept)), map[onsale.BuyerID]int{}
	for _, k := range share.kept {
		if !k.Refunded {
			if err := lay(l, k, f.seats, f.counts); err != nil {
				return nil, err
			}
			admissions[k.Buyer] += onsale.Quantity(k.Lines)
		}
		rec := record{state: 'p', generation: 1, deadline: now, pinned: now, accepted: toMs(k.AcceptedAt), buyer: k.Buyer, lines: encodeLines(k.Lines, l)}
		switch {
		case k.Refunded:
			rec.state = 'b'
		case k.Sold:
			rec.state = 's'
		default:
			f.pins = append(f.pins, strconv.FormatInt(now, 10), string(k.Hold))
		}
		f.holds = append(f.holds, string(k.Hold), rec.String())
		if again := k.Hold.In(epoch); !written[again] { // a key that was used before finds it
			f.holds = append(f.holds, string(again), "@"+string(k.Hold))
			written[again] = true
		}
	}
	for buyer, n := range admissions {
		f.buyers = append(f.buyers, string(buyer), strconv.Itoa(n)+"|0|0")
	}
	return f, nil
}

// lay takes a kept hold's inventory out of what is available.
func lay(l *onsale.Layout, k Kept, seats []byte, counts []onsale.Counts) error {
	letter := onsale.SeatPinned
	if k.Sold {
		letter = onsale.SeatSold
	}
	for _, line := range k.Lines {
		s := l.Section(line.Section)
		if s == nil {
			return fmt.Errorf("lay hold %s: the event has no section %q", k.Hold, line.Section)
		}
		c := &counts[s.Index]
		c.Available -= int64(line.Quantity)
		if k.Sold {
			c.Sold += int64(line.Quantity)
		} else {
			c.Pinned += int64(line.Quantity)
		}
		for _, seat := range line.Seats {
			offset, ok := s.Offset(seat)
			if !ok || !onsale.IsAvailable(seats[offset]) {
				return fmt.Errorf("lay hold %s: seat %s of %s is unknown or claimed twice", k.Hold, seat, s.ID)
			}
			seats[offset] = letter
		}
	}
	return nil
}

func (d *Desk) rebuildStep(ctx context.Context, id bookID, epoch onsale.Epoch, step string, args ...string) error {
	k := id.keys(d.cfg.Namespace)
	args = append([]string{strconv.FormatUint(uint64(epoch), 10), k.channel, step}, args...)
	reply, err := rebuildScript.run(ctx, d.cfg.Client, k, args).ToArray()
	if err == nil {
		err = checkStatus(reply)
	}
	var s status
	if errors.As(err, &s) && s.word == "epoch" {
		err = fmt.Errorf("%w: %w", ErrSuperseded, err)
	}
	if err != nil {
		return fmt.Errorf("rebuild %s, epoch %d, %s: %w", id.event, epoch, step, err)
	}
	return nil
}
