package holds

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"onsale"
)

// model is what the scripts should do, written to be read: a house, its holds, and
// every operation on them, with no cleverness at all. It knows nothing of Redis.
type model struct {
	layout *onsale.Layout
	sale   onsale.Sale
	now    int64 // ms
	seats  []byte
	free   map[int]int64 // general sections: what is available, by index
	holds  map[string]*modelHold
	buyers map[string]*modelBuyer
	memory int64
}

type modelHold struct {
	state      byte // h, p, s, r, x, b
	generation int
	deadline   int64
	forgotten  int64 // when an ended hold is forgotten; 0: never
	buyer      string
	print      string
	offsets    []int       // all its seats
	general    map[int]int // section index → quantity
}

type modelBuyer struct {
	n           int
	began, made int64
}

func newModel(l *onsale.Layout, now, memory int64) *model {
	m := &model{layout: l, sale: onsale.SaleOpen, now: now, seats: l.Empty(), free: map[int]int64{}, holds: map[string]*modelHold{},
		buyers: map[string]*modelBuyer{}, memory: memory}
	for _, s := range l.Sections() {
		if s.Kind == onsale.General {
			m.free[s.Index] = s.Capacity
		}
	}
	return m
}

// reap ends what is due: an expired hold's inventory is available again before
// anything else is looked at.
func (m *model) reap() {
	for id, h := range m.holds {
		switch {
		case h.state == 'h' && h.deadline <= m.now:
			m.giveBack(h, 'x')
		case (h.state == 'r' || h.state == 'x') && h.forgotten <= m.now:
			delete(m.holds, id)
		}
	}
}

func (m *model) mark(h *modelHold, letter byte) {
	for _, offset := range h.offsets {
		m.seats[offset] = letter
	}
}

func (m *model) giveBack(h *modelHold, state byte) {
	for _, offset := range h.offsets {
		m.seats[offset] = m.layout.Empty()[offset]
	}
	for section, n := range h.general {
		m.free[section] += int64(n)
	}
	m.buyer(h.buyer).n -= h.quantity()
	h.state, h.forgotten = state, m.now+m.memory
	if h.print == keyless {
		h.forgotten = m.now + 60_000
	}
}

func (h *modelHold) quantity() int {
	sum := len(h.offsets)
	for _, n := range h.general {
		sum += n
	}
	return sum
}

func (m *model) buyer(name string) *modelBuyer {
	if m.buyers[name] == nil {
		m.buyers[name] = &modelBuyer{}
	}
	return m.buyers[name]
}

// hold returns what hold.lua should answer, but for the section and the counts that
// a refusal names.
func (m *model) hold(id, buyer, print string, asks []onsale.CheckedAsk) string {
	if h := m.holds[id]; h != nil {
		if h.buyer != buyer || h.print != print {
			return "key_reused"
		}
		return m.granted(id, h)
	}
	if m.sale != onsale.SaleOpen {
		return "not_on_sale"
	}
	b, event := m.buyer(buyer), m.layout.Event
	total := 0
	for _, a := range asks {
		total += a.Quantity
	}
	if b.began+60_000 > m.now && b.made >= int64(event.HoldsPerMinute) {
		return "too_often"
	}
	if b.n+total > event.MaxPerBuyer {
		return "buyer_limit"
	}
	h := &modelHold{state: 'h', generation: 1, deadline: m.now + event.HoldTime().Milliseconds(), buyer: buyer, print: print, general: map[int]int{}}
	for _, a := range asks {
		if refusal := m.take(h, a); refusal != "" {
			return refusal
		}
	}
	m.mark(h, 'h')
	for section, n := range h.general {
		m.free[section] -= int64(n)
	}
	if b.began+60_000 <= m.now {
		b.began, b.made = m.now, 0
	}
	b.made++
	b.n += total
	m.holds[id] = h
	return m.granted(id, h)
}

func (m *model) granted(id string, h *modelHold) string {
	return fmt.Sprintf("ok %s %c %d %d %s", id, h.state, h.generation, h.deadline, m.inventory(h))
}

// inventory is what a hold has, in an order of its own.
func (m *model) inventory(h *modelHold) string {
	var parts []string
	for _, offset := range h.offsets {
		parts = append(parts, fmt.Sprint(offset))
	}
	for section, n := range h.general {
		parts = append(parts, fmt.Sprintf("%d*%d", section, n))
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}

// take adds an ask's inventory to the hold, or says why not.
func (m *model) take(h *modelHold, a onsale.CheckedAsk) string {
	if a.Offsets != nil {
		return m.takePicked(h, a)
	}
	enough := false
	for _, s := range a.In {
		if s.Kind == onsale.General {
			if m.free[s.Index]-int64(h.general[s.Index]) >= int64(a.Quantity) {
				h.general[s.Index] += a.Quantity
				return ""
			}
			continue
		}
		if m.available(h, s) < a.Quantity {
			continue
		}
		enough = true
		if found := m.best(h, s, a); found != nil {
			h.offsets = append(h.offsets, found...)
			return ""
		}
	}
	if enough {
		return "not_together"
	}
	return "sold_out"
}

func (m *model) takePicked(h *modelHold, a onsale.CheckedAsk) string {
	kept := false
	for _, offset := range a.Offsets {
		letter := m.letter(h, offset)
		if !onsale.IsAvailable(letter) {
			return "seat_taken"
		}
		kept = kept || (letter != 'a' && !a.Accessible)
	}
	if kept {
		return "accessible"
	}
	h.offsets = append(h.offsets, a.Offsets...)
	return ""
}

// letter is a seat's, as this hold finds it; '|' beyond the house.
func (m *model) letter(h *modelHold, offset int) byte {
	if offset < 0 || offset >= len(m.seats) {
		return onsale.RowEnd
	}
	if slices.Contains(h.offsets, offset) {
		return 'h'
	}
	return m.seats[offset]
}

func (m *model) available(h *modelHold, s *onsale.SectionLayout) (n int) {
	for offset := s.Start; offset < s.End; offset++ {
		if onsale.IsAvailable(m.letter(h, offset)) {
			n++
		}
	}
	return n
}

// best looks at every block of the section, from the best seat on.
func (m *model) best(h *modelHold, s *onsale.SectionLayout, a onsale.CheckedAsk) []int {
	n, w := a.Quantity, a.Wheelchair
	if w > 0 {
		for _, pattern := range []string{strings.Repeat("w", w) + strings.Repeat("c", n-w), strings.Repeat("c", n-w) + strings.Repeat("w", w)} {
			if found := m.block(h, s, pattern, false); found != nil {
				return found
			}
		}
	} else {
		pattern := strings.Repeat("a", n)
		if !m.layout.Event.AllowOrphans {
			if found := m.block(h, s, pattern, true); found != nil {
				return found
			}
		}
		if found := m.block(h, s, pattern, false); found != nil {
			return found
		}
	}
	if !a.Split {
		return nil
	}
	with := &modelHold{offsets: slices.Clone(h.offsets)}
	var all []int
	for _, part := range []struct {
		letter string
		n      int
	}{{"w", w}, {map[bool]string{true: "c", false: "a"}[w > 0], n - w}} {
		for left, size := part.n, part.n; left > 0; {
			size = min(size, left)
			if size == 0 {
				return nil
			}
			if found := m.block(with, s, strings.Repeat(part.letter, size), false); found != nil {
				with.offsets = append(with.offsets, found...)
				all = append(all, found...)
				left -= size
			} else {
				size--
			}
		}
	}
	return all
}

// block is the first block of the letters; with tidy, the first that leaves no lone
// single seat beside it that was not alone before.
func (m *model) block(h *modelHold, s *onsale.SectionLayout, letters string, tidy bool) []int {
	for start := s.Start; start+len(letters) <= s.End; start++ {
		fits := true
		for i := range letters {
			fits = fits && m.letter(h, start+i) == letters[i]
		}
		if !fits {
			continue
		}
		end := start + len(letters)
		alone := func(offset, beyond int) bool { return m.letter(h, offset) == 'a' && m.letter(h, beyond) != 'a' }
		if tidy && (alone(end, end+1) || alone(start-1, start-2)) {
			continue
		}
		var found []int
		for i := range letters {
			found = append(found, start+i)
		}
		return found
	}
	return nil
}

// The other operations, by name. at is the hold's generation as the caller has it.
func (m *model) owner(name, id, buyer string, generation int) string {
	h := m.holds[id]
	if h == nil || h.buyer != buyer {
		return "unknown"
	}
	stale := generation != 0 && generation != h.generation
	again := name == "extend" && h.state == 'h' && h.generation == 2 && generation < 2
	switch {
	case stale && !again:
		return "stale"
	case name == "release" && h.state == 'r', again:
		return "ok"
	case name == "pin" && (h.state == 'p' || h.state == 's'):
		return "ok"
	case name != "pin" && h.state == 'p':
		return "pinned"
	case h.state != 'h':
		return "ended " + string(h.state)
	}
	switch name {
	case "release":
		m.giveBack(h, 'r')
	case "pin":
		h.state = 'p'
		m.mark(h, 'p')
	case "extend":
		if h.generation != 1 || m.layout.Event.ExtendSeconds == 0 {
			return "not_extendable"
		}
		h.generation = 2
		h.deadline += m.layout.Event.ExtendTime().Milliseconds()
	}
	return "ok"
}

func (m *model) free1(id string) string {
	h := m.holds[id]
	switch {
	case h == nil:
		return "unknown"
	case h.state == 's':
		return "sold"
	case h.state == 'h' || h.state == 'p':
		m.giveBack(h, 'r')
	}
	return "ok"
}

// keep takes from a hold the seats and places that its order hasn't got any more.
func (m *model) keep(h *modelHold, seats []int, general map[int]int) {
	before := h.quantity()
	h.offsets = slices.DeleteFunc(h.offsets, func(offset int) bool {
		if slices.Contains(seats, offset) {
			return false
		}
		m.seats[offset] = m.layout.Empty()[offset]
		return true
	})
	for section, n := range h.general {
		if left := min(n, general[section]); left < n {
			m.free[section] += int64(n - left)
			h.general[section] = left
		}
	}
	m.buyer(h.buyer).n -= before - h.quantity()
}

// confirm sells what the order has; the hold was pinned, sold, or refunded.
func (m *model) confirm(id string, seats []int, general map[int]int) string {
	if h := m.holds[id]; h.state != 'b' {
		m.keep(h, seats, general)
		h.state = 's'
		m.mark(h, 's')
	}
	return "ok"
}

func (m *model) refund(id string) string {
	h := m.holds[id]
	if h.state == 'h' || h.state == 'p' || h.state == 's' {
		m.giveBack(h, 'b')
	}
	h.state = 'b'
	return "ok"
}
