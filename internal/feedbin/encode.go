package feedbin

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"onsale"
)

// Snapshot encodes a snapshot. It fails only if that is of no stock there can be.
func Snapshot(s *onsale.FeedSnapshot) ([]byte, error) {
	b, err := head(kindSnapshot, s.Epoch, s.Seq, s.At, s.Sale)
	if err != nil {
		return nil, err
	}
	b = text(b, string(s.Event))
	b = binary.AppendUvarint(b, uint64(len(s.Sections)))
	for i := range s.Sections {
		section := &s.Sections[i]
		b = counts(text(b, section.ID), section.Counts)
		if b, err = seats(b, section.Seats); err != nil {
			return nil, fmt.Errorf("section %s: %w", section.ID, err)
		}
	}
	return b, nil
}

// Delta encodes a delta of the event that has these sections. It fails if the delta
// is of others, or of no stock there can be.
func Delta(d *onsale.FeedDelta, sections []string) ([]byte, error) {
	b, err := moved(kindDelta, d.Epoch, d.From, d.Seq, d.At, d.Sale)
	if err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(len(d.Sections)))
	known, next := 0, 0
	for i, id := range sections {
		changes, ok := d.Sections[id]
		if !ok {
			continue
		}
		b = counts(binary.AppendUvarint(b, uint64(i-next)), changes.Counts)
		if b, err = runs(b, changes.Seats); err != nil {
			return nil, fmt.Errorf("section %s: %w", id, err)
		}
		known++
		next = i + 1
	}
	if known != len(d.Sections) {
		return nil, fmt.Errorf("%d sections of a delta are not the event's", len(d.Sections)-known)
	}
	return b, nil
}

// Sale encodes a sale.
func Sale(s *onsale.FeedSale) ([]byte, error) {
	return moved(kindSale, s.Epoch, s.From, s.Seq, s.At, s.Sale)
}

func head(kind byte, epoch onsale.Epoch, seq uint64, at time.Time, sale onsale.Sale) ([]byte, error) {
	number := slices.Index(sales[:], sale)
	if number < 0 {
		return nil, fmt.Errorf("%q is no state of a sale", sale)
	}
	b := []byte{Version<<4 | kind}
	b = binary.AppendUvarint(b, uint64(epoch))
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendVarint(b, at.UnixMilli())
	return append(b, byte(number)), nil
}

func moved(kind byte, epoch onsale.Epoch, from, seq uint64, at time.Time, sale onsale.Sale) ([]byte, error) {
	if from > seq {
		return nil, fmt.Errorf("it leads back, from %d to %d", from, seq)
	}
	b, err := head(kind, epoch, seq, at, sale)
	return binary.AppendUvarint(b, seq-from), err
}

func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func counts(b []byte, c onsale.Counts) []byte {
	for _, n := range [...]int64{c.Available, c.Held, c.Pinned, c.Sold} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// seats encodes a section's seat string in the shorter form.
func seats(b []byte, s string) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(s)))
	if len(s) == 0 {
		return b, nil
	}
	if err := checkLetters(s); err != nil {
		return nil, err
	}
	packed := packedLength(len(s))
	start := len(b)
	b = append(b, formRuns)
	for i := 0; i < len(s); {
		end := sameUntil(s, i)
		b = binary.AppendUvarint(b, uint64(end-i-1)<<letterBits|uint64(numbers[s[i]]))
		if i = end; len(b)-start > packed+1 {
			return pack(append(b[:start], formPacked), s), nil
		}
	}
	return b, nil
}

// sameUntil is where the run of equal letters that begins at i ends.
func sameUntil(s string, i int) int {
	end := i + 1
	for end < len(s) && s[end] == s[i] {
		end++
	}
	return end
}

// pack appends the letters, three bits each, the first in the lowest bits.
func pack(b []byte, s string) []byte {
	var bits uint
	held := 0
	for i := range len(s) {
		bits |= uint(numbers[s[i]]) << held
		for held += letterBits; held >= 8; held -= 8 {
			b = append(b, byte(bits))
			bits >>= 8
		}
	}
	if held > 0 {
		b = append(b, byte(bits))
	}
	return b
}

// A run in a delta is a number, length<<4 | uniform<<3 | letter, and the packed letters
// if they are not uniform.
const uniform = 1 << letterBits

func runs(b []byte, all []onsale.FeedRun) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(all)))
	next := 0
	for _, run := range all {
		if run.Offset < next || run.States == "" {
			return nil, fmt.Errorf("a run of %d letters at %d, after %d", len(run.States), run.Offset, next)
		}
		if err := checkLetters(run.States); err != nil {
			return nil, err
		}
		length := uint64(len(run.States)) << (letterBits + 1)
		b = binary.AppendUvarint(b, uint64(run.Offset-next))
		if sameUntil(run.States, 0) == len(run.States) {
			b = binary.AppendUvarint(b, length|uniform|uint64(numbers[run.States[0]]))
		} else {
			b = pack(binary.AppendUvarint(b, length), run.States)
		}
		next = run.Offset + len(run.States)
	}
	return b, nil
}
