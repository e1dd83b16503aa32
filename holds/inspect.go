package holds

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

// Inspect reads what Redis knows of an event, for the auditor, as it was at one moment.
// It returns ErrAbsent if there is no stock.
//
// Redis does nothing else during a call, so a large event's holds are read in pages,
// and the stock after them. If its seq is what it was before them, nothing was taken or
// given back meanwhile: that is the moment. Else they are read once more. If the seq has
// moved again, the moment is that between the two: a hold that was the same in both was
// so then, and the others are left out, and counted in InFlux.
//
// A striped event is read a stripe after the other, each as it was at a moment of its own.
func (d *Desk) Inspect(ctx context.Context, l *onsale.Layout) (*onsale.HoldsView, error) {
	if l.Event.Striped() {
		return d.inspectStripes(ctx, l)
	}
	return d.inspectBook(ctx, l, bookID{event: l.Event.ID})
}

// inspectBook is Inspect for one book.
func (d *Desk) inspectBook(ctx context.Context, l *onsale.Layout, id bookID) (*onsale.HoldsView, error) {
	view, err := inspection{desk: d, layout: l, keys: id.keys(d.cfg.Namespace)}.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", l.Event.ID, err)
	}
	return view, nil
}

func (in inspection) view(ctx context.Context) (*onsale.HoldsView, error) {
	before, whole, err := in.begin(ctx)
	if err != nil {
		return nil, err
	}
	if whole != nil {
		return whole.at(before, in.layout, 0)
	}
	first, between, err := in.pass(ctx)
	if err != nil {
		return nil, err
	}
	if isSame(before, between) {
		return first.at(between, in.layout, 0)
	}
	second, after, err := in.pass(ctx)
	if err != nil {
		return nil, err
	}
	if isSame(between, after) {
		return second.at(after, in.layout, 0)
	}
	unchanged, inFlux := first.common(second)
	return unchanged.at(between, in.layout, inFlux)
}

func isSame(s, o *onsale.Stock) bool { return s.Epoch == o.Epoch && s.Seq == o.Seq }

// found is what was read of an event's holds, as Redis has it.
type found struct {
	holds    map[string]foundHold // by id
	together map[string]string    // hold id → when the entry of all that its call granted is due
	buyers   map[string]string
}

// foundHold is a record, and where the indexes have it by itself; "" where they have not.
type foundHold struct{ record, due, pinned string }

// common is what of the holds was the same in a later reading, and how many were not.
func (f *found) common(later *found) (same *found, differ int) {
	same = &found{holds: make(map[string]foundHold, len(f.holds)), together: f.together, buyers: f.buyers}
	for id, h := range f.holds {
		if later.holds[id] == h {
			same.holds[id] = h
		}
	}
	// Those of both that aren't the same, and those of either alone.
	either := len(f.holds)
	for id := range later.holds {
		if _, known := f.holds[id]; !known {
			either++
		}
	}
	return same, either - len(same.holds)
}

// at spells out what was found, beside the stock at the same moment.
func (f *found) at(stock *onsale.Stock, l *onsale.Layout, inFlux int) (*onsale.HoldsView, error) {
	view := &onsale.HoldsView{Stock: *stock, InFlux: inFlux, Buyers: make(map[onsale.BuyerID]int64, len(f.buyers))}
	for id, h := range f.holds {
		if strings.HasPrefix(h.record, "@") {
			continue // another name of a hold
		}
		view.Holds = append(view.Holds, f.hold(id, h, l))
	}
	for buyer, text := range f.buyers {
		admissions, _, _ := strings.Cut(text, "|")
		n, err := strconv.ParseInt(admissions, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("buyer %s: %w", buyer, err)
		}
		view.Buyers[onsale.BuyerID(buyer)] = n
	}
	return view, nil
}

func (f *found) hold(id string, h foundHold, l *onsale.Layout) onsale.HeldRecord {
	rec, err := parseRecord(h.record)
	seen := onsale.HeldRecord{Due: scoreTime(h.due), PinnedAt: scoreTime(h.pinned)}
	if h.due == "" && rec.state == 'h' {
		seen.Due = scoreTime(f.together[id]) // that entry stands for those of them that are held still
	}
	if err == nil {
		seen.Hold, err = rec.hold(onsale.HoldID(id), l)
		seen.Owed = rec.state == 'o'
	}
	if err != nil { // a finding of the audit, not its end
		seen.Hold, seen.Unreadable = onsale.Hold{ID: onsale.HoldID(id), Event: l.Event.ID}, err.Error()
	}
	return seen
}

// scoreTime is a sorted set's score, in milliseconds, as a time; zero for "".
func scoreTime(score string) time.Time {
	ms, err := strconv.ParseFloat(score, 64)
	if err != nil {
		return time.Time{}
	}
	return fromMs(int64(ms))
}
