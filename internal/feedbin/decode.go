package feedbin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"onsale"
)

var (
	errShort = errors.New("it ends too soon")
	errLong  = errors.New("there is more after its end")
	errRange = errors.New("a number is out of range")
)

// maxText is the longest id in a frame.
const maxText = 64

// Decode reads a frame: a *onsale.FeedSnapshot, a *onsale.FeedDelta or a *onsale.FeedSale.
// sections are the ids of the event's, in its order; only a delta needs them. It
// keeps nothing of data.
func Decode(data []byte, sections []string) (message any, err error) {
	d := &decoder{rest: data, left: maxLetters}
	switch first := d.byte(); first {
	case Version<<4 | kindSnapshot:
		message = d.snapshot()
	case Version<<4 | kindDelta:
		message = d.delta(sections)
	case Version<<4 | kindSale:
		message = d.sale()
	default:
		d.fail(errUnknown)
	}
	if len(d.rest) > 0 {
		d.fail(errLong)
	}
	if d.err != nil {
		return nil, fmt.Errorf("read a binary feed frame: %w", d.err)
	}
	return message, nil
}

// decoder reads from the front of rest. After its first error it reads zeros.
type decoder struct {
	rest []byte
	left int // how many letters there may still be: an event has no more
	err  error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail(errShort)
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.fail(errShort)
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// number reads one that is most at the most.
func (d *decoder) number(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	switch {
	case n == 0:
		d.fail(errShort)
		return 0
	case n < 0 || v > most:
		d.fail(errRange)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// whole reads a number up to most as an int.
func (d *decoder) whole(most int) int { return int(d.number(uint64(most))) }

// take allows for n letters more.
func (d *decoder) take(n int) {
	if d.left -= n; d.left < 0 {
		d.fail(errRange)
	}
}

func (d *decoder) time() time.Time {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail(errShort)
		return time.Time{}
	}
	d.rest = d.rest[n:]
	return time.UnixMilli(v).UTC()
}

func (d *decoder) text() string { return string(d.bytes(d.whole(maxText))) }

func (d *decoder) counts() (c onsale.Counts) {
	for _, n := range [...]*int64{&c.Available, &c.Held, &c.Pinned, &c.Sold} {
		*n = int64(d.number(math.MaxInt64))
	}
	return c
}

func (d *decoder) saleState() onsale.Sale {
	number := int(d.byte())
	if number >= len(sales) {
		d.fail(errRange)
		return ""
	}
	return sales[number]
}

func (d *decoder) letter(number uint64) byte {
	if number >= uint64(len(letters)) {
		d.fail(errRange)
		return onsale.RowEnd
	}
	return letters[number]
}

func (d *decoder) head() (epoch onsale.Epoch, seq uint64, at time.Time, sale onsale.Sale) {
	epoch, seq = onsale.Epoch(d.number(math.MaxUint64)), d.number(math.MaxUint64)
	return epoch, seq, d.time(), d.saleState()
}

func (d *decoder) snapshot() *onsale.FeedSnapshot {
	s := &onsale.FeedSnapshot{Type: onsale.FrameSnapshot}
	s.Epoch, s.Seq, s.At, s.Sale = d.head()
	s.Event = onsale.EventID(d.text())
	n := d.whole(onsale.MaxSections)
	s.Sections = make([]onsale.FeedSection, 0, n)
	for range n {
		s.Sections = append(s.Sections, onsale.FeedSection{ID: d.text(), Counts: d.counts(), Seats: d.seats()})
	}
	return s
}

func (d *decoder) seats() string {
	n := d.whole(maxLetters)
	if d.take(n); n == 0 || d.err != nil {
		return ""
	}
	switch d.byte() {
	case formPacked:
		return d.packed(n)
	case formRuns:
		return d.runLengths(n)
	}
	d.fail(errUnknown)
	return ""
}

func (d *decoder) packed(n int) string {
	if packedLength(n) > len(d.rest) {
		d.fail(errShort)
		return ""
	}
	out := make([]byte, n)
	packed := d.bytes(packedLength(n))
	var bits uint64
	held := 0
	for i := range out {
		if held < letterBits {
			bits |= uint64(packed[0]) << held
			packed = packed[1:]
			held += 8
		}
		out[i] = d.letter(bits & (1<<letterBits - 1))
		bits >>= letterBits
		held -= letterBits
	}
	return string(out)
}

func (d *decoder) runLengths(n int) string {
	out := make([]byte, 0, n)
	for len(out) < n && d.err == nil {
		v := d.number(maxLetters << letterBits)
		length, letter := int(v>>letterBits)+1, d.letter(v&(1<<letterBits-1))
		if length > n-len(out) {
			d.fail(errRange)
			break
		}
		for range length {
			out = append(out, letter)
		}
	}
	return string(out)
}

func (d *decoder) delta(sections []string) *onsale.FeedDelta {
	f := &onsale.FeedDelta{Type: onsale.FrameDelta}
	f.Epoch, f.Seq, f.At, f.Sale = d.head()
	f.From = f.Seq - d.number(f.Seq)
	n := d.whole(onsale.MaxSections)
	f.Sections = make(map[string]onsale.FeedChanges, n)
	next := 0
	for range n {
		index := next + d.whole(onsale.MaxSections)
		changes := onsale.FeedChanges{Counts: d.counts(), Seats: d.runs()}
		if d.err != nil {
			break
		}
		if index >= len(sections) {
			d.fail(errors.New("it changes a section that isn't known"))
			break
		}
		f.Sections[sections[index]] = changes
		next = index + 1
	}
	return f
}

func (d *decoder) runs() []onsale.FeedRun {
	n := d.whole(maxLetters)
	if n > len(d.rest) {
		d.fail(errShort)
	}
	var all []onsale.FeedRun
	next := 0
	for i := 0; i < n && d.err == nil; i++ {
		run := onsale.FeedRun{Offset: next + d.whole(maxLetters)}
		v := d.number(maxLetters<<(letterBits+1) | 1<<(letterBits+1) - 1)
		length := int(v >> (letterBits + 1))
		if length == 0 || run.Offset+length > maxLetters {
			d.fail(errRange)
		}
		if d.take(length); d.err != nil {
			break
		}
		if v&uniform == 0 {
			run.States = d.packed(length)
		} else {
			run.States = repeated(d.letter(v&(1<<letterBits-1)), length)
		}
		all = append(all, run)
		next = run.Offset + length
	}
	return all
}

func repeated(letter byte, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letter
	}
	return string(b)
}

func (d *decoder) sale() *onsale.FeedSale {
	f := &onsale.FeedSale{Type: onsale.FrameSale}
	f.Epoch, f.Seq, f.At, f.Sale = d.head()
	f.From = f.Seq - d.number(f.Seq)
	return f
}
