package holds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"onsale"
)

// Settlement is what an order's end means for its hold.
type Settlement struct {
	Hold     onsale.HoldID
	Buyer    onsale.BuyerID // the hold's
	Sold     bool           // ticketed
	Refunded bool           // ticketed once, and paid back whole. Neither: rejected, declined, or never an order
	Lines    []onsale.Line  // what the order has, if it is sold: the hold's, less what was refunded; what it had, if it is refunded
	PinnedAt time.Time      // to free it only if it has not been pinned again since; zero: whenever
}

// Settle confirms, frees or takes back the holds of orders that have ended, for one event.
// Settling again is no error, and settling by older news than it was changes nothing: what
// was once given back is never sold again by its order. It returns when all are done; after an error any of
// them may have been, and all must be settled again.
func (d *Desk) Settle(ctx context.Context, l *onsale.Layout, settlements []Settlement) error {
	if !l.Event.Striped() {
		return d.settleAt(ctx, l, bookID{event: l.Event.ID}, settlements)
	}
	byHome := map[bookID][]Settlement{}
	for _, s := range settlements {
		if s.Buyer == "" {
			return fmt.Errorf("settle hold %s of a striped event: its buyer is not said", s.Hold)
		}
		home := homeOf(l.Event, s.Buyer)
		byHome[home] = append(byHome[home], s)
	}
	errs := make([]error, max(1, l.Event.Stripes))
	var wg sync.WaitGroup
	for home, theirs := range byHome {
		wg.Go(func() { errs[home.stripe] = d.settleAt(ctx, l, home, theirs) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// settleAt settles holds of one book.
func (d *Desk) settleAt(ctx context.Context, l *onsale.Layout, id bookID, settlements []Settlement) error {
	b := d.book(id, l.Event.Epoch)
	return d.inEpoch(ctx, b, func(onsale.Epoch) error {
		ops := make([]*operation, len(settlements))
		for i, s := range settlements {
			ops[i] = s.operation(l)
		}
		err := b.submit(ops...)
		if err != nil {
			return err
		}
		var owed []Settlement
		for i, op := range ops {
			// Whatever the reply, the hold is as it should be, or recovery will ask again.
			reply, failed := op.await()
			err = errors.Join(err, failed)
			if reply == "owed" {
				owed = append(owed, settlements[i])
			}
		}
		if l.Event.Striped() && err == nil {
			err = d.makeGood(l, id, owed)
		}
		return err
	})
}

func (s Settlement) operation(l *onsale.Layout) *operation {
	switch {
	case s.Refunded:
		return newOperation("refund", s.Hold, s.Buyer, encodeLines(s.Lines, l))
	case s.Sold:
		return newOperation("confirm", s.Hold, s.Buyer, encodeLines(s.Lines, l))
	}
	return newOperation("free", s.Hold, "", strconv.FormatInt(toMs(s.PinnedAt), 10))
}

// makeGood brings to a stripe what it owes, as far as others have it, and confirms
// again. What is still owed then, recovery asks for again.
func (d *Desk) makeGood(l *onsale.Layout, home bookID, owed []Settlement) error {
	b := d.book(home, l.Event.Epoch)
	for _, s := range owed {
		for _, line := range s.Lines {
			section := l.Section(line.Section).Index
			stripes, err := d.survey(l, section, line.Quantity)
			if err != nil {
				return err
			}
			if available(stripes) < int64(line.Quantity) {
				continue // the hold that has it must end first
			}
			loans, err := d.lend(l, section, home.stripe, line.Quantity, stripes)
			if err != nil {
				return err
			}
			if err := d.deliver(l, loans); err != nil {
				return err
			}
		}
		if _, err := d.ask(b, s.operation(l)); err != nil {
			return err
		}
	}
	return nil
}
