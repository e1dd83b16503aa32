package holds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"onsale"
)

// ErrAbsent says that Redis has no stock of the event: it was lost, or never laid.
var ErrAbsent = errors.New("holds: redis has no stock of the event")

// Stock reads an event's whole stock from Redis, in one step, or in one a stripe. It
// returns ErrAbsent if there is none.
func (d *Desk) Stock(ctx context.Context, l *onsale.Layout) (*onsale.Stock, error) {
	var stripes []*onsale.Stock
	for _, id := range booksOf(l.Event) {
		s, err := d.master.stock(ctx, l, id.keys(d.cfg.Namespace))
		if err != nil {
			return nil, err
		}
		stripes = append(stripes, s)
	}
	return sumOf(l, stripes), nil
}

func (p *place) stock(ctx context.Context, l *onsale.Layout, k keys) (*onsale.Stock, error) {
	reply, err := p.run(ctx, viewScript, k, strconv.Itoa(len(l.Sections()))).ToArray()
	if err != nil {
		return nil, fmt.Errorf("read the stock of %s: %w", l.Event.ID, err)
	}
	return decodeStock(l, reply)
}

// decodeStock reads what snapshot.lua gives.
func decodeStock(l *onsale.Layout, reply []rueidis.RedisMessage) (*onsale.Stock, error) {
	const fixed = 6
	if len(reply) == 0 {
		return nil, ErrAbsent
	}
	fields := make([]string, len(reply))
	for i := range reply {
		text, err := reply[i].ToString()
		if err != nil {
			return nil, fmt.Errorf("read the stock of %s: %w", l.Event.ID, err)
		}
		fields[i] = text
	}
	if len(fields) != fixed+len(l.Sections()) {
		return nil, fmt.Errorf("the stock of %s has %d fields, want %d", l.Event.ID, len(fields), fixed+len(l.Sections()))
	}
	var numbers [4]uint64
	for i, at := range []int{0, 2, 3, 4} {
		n, err := strconv.ParseUint(fields[at], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the stock of %s: %w", l.Event.ID, err)
		}
		numbers[i] = n
	}
	s := &onsale.Stock{
		Event: l.Event.ID, Epoch: onsale.Epoch(numbers[0]), Sale: onsale.Sale(fields[1]), Seq: numbers[1],
		At: fromMs(int64(numbers[2])), NextDue: fromMs(int64(numbers[3])), Seats: []byte(fields[5]),
		Counts: make([]onsale.Counts, len(l.Sections())),
	}
	if s.Sale == onsale.SaleRecovering {
		s.Seats = l.Empty() // nothing is laid yet
		return s, nil
	}
	for i := range s.Counts {
		c, err := parseCounts(fields[fixed+i])
		if err != nil {
			return nil, fmt.Errorf("the stock of %s, section %d: %w", l.Event.ID, i, err)
		}
		s.Counts[i] = c
	}
	return s, nil
}

func parseCounts(text string) (c onsale.Counts, err error) {
	parts := strings.Split(text, ",")
	into := []*int64{&c.Available, &c.Held, &c.Pinned, &c.Sold}
	if len(parts) != len(into) {
		return c, fmt.Errorf("counts %q are not four numbers", text)
	}
	for i, p := range parts {
		if *into[i], err = strconv.ParseInt(p, 10, 64); err != nil {
			return c, fmt.Errorf("counts %q: %w", text, err)
		}
	}
	return c, nil
}

func formatCounts(c onsale.Counts) string {
	return fmt.Sprintf("%d,%d,%d,%d", c.Available, c.Held, c.Pinned, c.Sold)
}

// delta is what close.lua publishes.
type delta struct {
	Epoch   onsale.Epoch        `json:"e"`
	Seq     uint64              `json:"q"`
	At      int64               `json:"t"`
	Sale    onsale.Sale         `json:"s"`
	NextDue int64               `json:"n"`
	Counts  map[string][4]int64 `json:"c"`
	Seats   []onsale.FeedRun    `json:"x"` // offsets are the event's, not a section's
	Granted string              `json:"g"` // the tails of ids that were granted under a key, on end; see soldout.go
}

// decodeDelta reads a published delta and checks it against the layout, so that
// applying it can't go out of bounds. granted are the tails of the ids that it tells of.
func decodeDelta(l *onsale.Layout, text string) (d *onsale.Delta, granted string, err error) {
	var in delta
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, "", fmt.Errorf("read a delta of %s: %w", l.Event.ID, err)
	}
	out := &onsale.Delta{Epoch: in.Epoch, Seq: in.Seq, At: fromMs(in.At), Sale: in.Sale, NextDue: fromMs(in.NextDue),
		Counts: make(map[int]onsale.Counts, len(in.Counts))}
	for name, c := range in.Counts {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(l.Sections()) {
			return nil, "", fmt.Errorf("a delta of %s has section %q", l.Event.ID, name)
		}
		out.Counts[i] = onsale.Counts{Available: c[0], Held: c[1], Pinned: c[2], Sold: c[3]}
	}
	for _, run := range in.Seats {
		if run.Offset < 0 || run.Offset > l.Length()-len(run.States) {
			return nil, "", fmt.Errorf("a delta of %s has seats at %d", l.Event.ID, run.Offset)
		}
		out.Seats = append(out.Seats, onsale.SeatRun(run))
	}
	return out, in.Granted, nil
}

// SetSale tells Redis and the feed that the sale was opened, paused or closed.
//
// Errors: ErrAbsent; recovering.
func (d *Desk) SetSale(ctx context.Context, l *onsale.Layout, sale onsale.Sale) error {
	for _, id := range slices.Backward(booksOf(l.Event)) { // the first last: the feed says what it says
		if err := d.setSaleOf(ctx, d.book(id, l.Event.Epoch), sale); err != nil {
			return err
		}
	}
	return nil
}

// setSaleOf is SetSale for one book.
func (d *Desk) setSaleOf(ctx context.Context, b *batcher, sale onsale.Sale) error {
	err := d.inEpoch(ctx, b, func(epoch onsale.Epoch) error {
		args := []string{strconv.FormatUint(uint64(epoch), 10), b.keys.channel, string(sale)}
		reply, err := saleScript.run(ctx, d.cfg.Client, b.keys, args).ToArray()
		if err != nil {
			return fmt.Errorf("%w: %w", errTransport, err)
		}
		return b.learn(checkStatus(reply))
	})
	var s status
	if errors.As(err, &s) && s.word == "absent" {
		return ErrAbsent
	}
	return err
}
