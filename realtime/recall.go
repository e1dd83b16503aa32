package realtime

import "onsale"

// missedRunBytes is what a run of changed seats takes in a frame, about, where a snapshot
// takes a byte a seat: a delta with more runs than that allows is longer than the snapshot.
const missedRunBytes = 10

// recall knows which change of the stock was the last of each count and each seat. So a
// client that has been away can be told just what it missed, whichever process told it the
// rest: the changes are numbered by Redis, and so are the same to every process.
//
// It knows the changes after floor one by one. A delta from any seq at or above
// the floor is then exact: what changed later than seq is in it as it is now, also what
// changed and changed back. (The difference of two stocks is not enough: it leads only
// from the very stock it was made of.) What changed within a gap isn't known, so a gap raises the floor.
//
// Its owner is a hub, under in.
type recall struct {
	epoch    onsale.Epoch
	floor    uint64
	seq      uint64   // of the last change
	sections []uint64 // by the section's index: the seq of its counts' last change; 0: not after the floor
	seats    []uint64 // by offset in the event's seat string
}

// forget begins at a stock that was read whole.
func (r *recall) forget(stock *onsale.Stock) {
	if r.sections != nil && r.epoch == stock.Epoch && r.seq == stock.Seq {
		return // the same is told again
	}
	if r.sections == nil {
		r.sections, r.seats = make([]uint64, len(stock.Counts)), make([]uint64, len(stock.Seats))
	}
	clear(r.sections)
	clear(r.seats)
	r.epoch, r.floor, r.seq = stock.Epoch, stock.Seq, stock.Seq
}

// note keeps the next change in mind.
func (r *recall) note(d *onsale.Delta) {
	r.seq = d.Seq
	for i := range d.Counts {
		r.sections[i] = d.Seq
	}
	for _, run := range d.Seats {
		for i := range len(run.States) {
			r.seats[run.Offset+i] = d.Seq
		}
	}
}

// since returns what changed after seq, as it is in stock, which may be older than the
// last change. nil if that isn't known, or is more than a snapshot.
func (r *recall) since(layout *onsale.Layout, stock *onsale.Stock, seq uint64) *onsale.FeedDelta {
	if r.epoch != stock.Epoch || seq < r.floor || seq > stock.Seq {
		return nil
	}
	d := &onsale.FeedDelta{
		Type: onsale.FrameDelta, Epoch: stock.Epoch, From: seq, Seq: stock.Seq, At: stock.At, Sale: stock.Sale,
		Sections: map[string]onsale.FeedChanges{},
	}
	left := len(stock.Seats) / missedRunBytes
	for i, section := range layout.Sections() {
		runs := r.runsSince(section, stock, seq)
		if left -= len(runs); left < 0 {
			return nil
		}
		if r.sections[i] > seq || len(runs) > 0 {
			d.Sections[section.ID] = onsale.FeedChanges{Counts: stock.Counts[i], Seats: runs}
		}
	}
	return d
}

func (r *recall) runsSince(section *onsale.SectionLayout, stock *onsale.Stock, seq uint64) (runs []onsale.FeedRun) {
	for i := section.Start; i < section.End; i++ {
		if r.seats[i] <= seq {
			continue
		}
		start := i
		for i < section.End && r.seats[i] > seq {
			i++
		}
		runs = append(runs, onsale.FeedRun{Offset: start - section.Start, States: string(stock.Seats[start:i])})
	}
	return runs
}
