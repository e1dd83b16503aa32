package holds

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

// record is a hold as book.lua keeps it:
// "state|generation|deadline|pinned at|accepted at|buyer|fingerprint|lines".
type record struct {
	state      byte // h, p, s, r, x, o, b
	generation uint64
	deadline   int64 // ms
	pinned     int64 // ms, 0 if it never was
	accepted   int64 // ms, 0 if it isn't
	buyer      onsale.BuyerID
	print      string
	lines      string // "section*quantity" or "section@offset.offset…", joined by commas
}

var stateOf = map[byte]onsale.HoldState{
	'h': onsale.HoldHeld, 'p': onsale.HoldPinned, 's': onsale.HoldSold, 'r': onsale.HoldReleased, 'x': onsale.HoldExpired,
	'o': onsale.HoldSold,     // owed: sold, whatever Redis has given its inventory to
	'b': onsale.HoldReleased, // sold, and refunded
}

func parseRecord(text string) (record, error) {
	f := strings.Split(text, "|")
	if len(f) != 8 || len(f[0]) != 1 || stateOf[f[0][0]] == "" {
		return record{}, fmt.Errorf("hold record %q has not the form that book.lua writes", text)
	}
	r := record{state: f[0][0], buyer: onsale.BuyerID(f[5]), print: f[6], lines: f[7]}
	var errs [4]error
	r.generation, errs[0] = strconv.ParseUint(f[1], 10, 64)
	r.deadline, errs[1] = strconv.ParseInt(f[2], 10, 64)
	r.pinned, errs[2] = strconv.ParseInt(f[3], 10, 64)
	r.accepted, errs[3] = strconv.ParseInt(f[4], 10, 64)
	for _, err := range errs {
		if err != nil {
			return record{}, fmt.Errorf("hold record %q: %w", text, err)
		}
	}
	return r, nil
}

// parseGrant reads what hold.lua answers: "<id> <state> <generation> <deadline> <lines>".
func parseGrant(text string) (id string, r record, err error) {
	var words [4]string
	rest, ok := text, true
	for i := range words {
		if words[i], rest, ok = strings.Cut(rest, " "); !ok {
			return "", record{}, fmt.Errorf("the answer %q to a hold has not the form that hold.lua writes", text)
		}
	}
	r.lines = rest
	var errs [2]error
	r.generation, errs[0] = strconv.ParseUint(words[2], 10, 64)
	r.deadline, errs[1] = strconv.ParseInt(words[3], 10, 64)
	if err := errors.Join(errs[:]...); err != nil || len(words[1]) != 1 {
		return "", record{}, fmt.Errorf("the answer %q to a hold: %w", text, err)
	}
	r.state = words[1][0]
	return words[0], r, nil
}

func (r record) String() string {
	return fmt.Sprintf("%c|%d|%d|%d|%d|%s|%s|%s", r.state, r.generation, r.deadline, r.pinned, r.accepted, r.buyer, r.print, r.lines)
}

// hold spells the record out in an event's words.
func (r record) hold(id onsale.HoldID, l *onsale.Layout) (onsale.Hold, error) {
	lines, err := decodeLines(r.lines, l)
	if err != nil {
		return onsale.Hold{}, fmt.Errorf("hold %s: %w", id, err)
	}
	h := onsale.Hold{
		ID: id, Event: l.Event.ID, State: stateOf[r.state], Generation: r.generation, ExpiresAt: fromMs(r.deadline),
		Lines: lines, Currency: l.Event.Currency, Buyer: r.buyer, AcceptedAt: fromMs(r.accepted),
	}
	for _, line := range lines {
		h.Amount += l.Section(line.Section).Price * int64(line.Quantity)
	}
	return h, nil
}

// encodeLines writes lines that Layout.CheckLines has passed.
func encodeLines(lines []onsale.Line, l *onsale.Layout) string {
	var b []byte
	for i, line := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		s := l.Section(line.Section)
		b = strconv.AppendInt(b, int64(s.Index), 10)
		if s.Kind == onsale.General {
			b = strconv.AppendInt(append(b, '*'), int64(line.Quantity), 10)
			continue
		}
		for j, seat := range line.Seats {
			separator := byte('.')
			if j == 0 {
				separator = '@'
			}
			offset, _ := s.Offset(seat) // CheckLines has passed it
			b = strconv.AppendInt(append(b, separator), int64(offset), 10)
			if letter := s.Letter(offset); letter != onsale.SeatAvailable {
				b = append(b, letter)
			}
		}
	}
	return string(b)
}

func decodeLines(text string, l *onsale.Layout) ([]onsale.Line, error) {
	var lines []onsale.Line
	for part := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(part, "*@")
		if at < 0 {
			return nil, fmt.Errorf("line %q has neither * nor @", part)
		}
		index, err := strconv.Atoi(part[:at])
		if err != nil || index < 0 || index >= len(l.Sections()) {
			return nil, fmt.Errorf("line %q: no such section", part)
		}
		s := l.Sections()[index]
		line := onsale.Line{Section: s.ID}
		if part[at] == '*' {
			if line.Quantity, err = strconv.Atoi(part[at+1:]); err != nil {
				return nil, fmt.Errorf("line %q: %w", part, err)
			}
		} else if line.Seats, err = seatNames(s, part[at+1:]); err != nil {
			return nil, fmt.Errorf("line %q: %w", part, err)
		} else {
			line.Quantity = len(line.Seats)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// seatNames turns "offset.offset…", with accessible seats' letters or without, into the seats' names.
func seatNames(s *onsale.SectionLayout, offsets string) ([]string, error) {
	var names []string
	for text := range strings.SplitSeq(offsets, ".") {
		offset, err := strconv.Atoi(strings.TrimRight(text, "wc"))
		if err != nil {
			return nil, err
		}
		name := s.Seat(offset)
		if name == "" {
			return nil, fmt.Errorf("no seat at offset %d", offset)
		}
		names = append(names, name)
	}
	return names, nil
}

// toMs is the inverse of fromMs.
func toMs(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMs(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
