package holds

import (
	"context"
	"errors"
	"strconv"
	"time"

	"onsale"
)

// HoldThen is Hold for who can't wait: then is told once what came of it, by the caller itself
// if this process knows the answer, else by a goroutine of the desk, which it must not hold up.
//
// Redis's first answer is the answer, but when it says to ask again, or is in another epoch:
// then a goroutine asks as Hold does, under the same key, or, where there is none, knowing that nothing has
// happened yet. The desk's Stop waits for it.
func (d *Desk) HoldThen(l *onsale.Layout, r Request, then func(onsale.Hold, error)) {
	b := d.home(l, r.Buyer)
	if l.Event.Striped() { // may ask several books
		d.later(l, r, then)
		return
	}
	id := d.newID(l, &r, onsale.Epoch(b.epoch.Load()))
	if known := d.known(l, &r, id); known != nil {
		then(onsale.Hold{}, known)
		return
	}
	name, args := r.arguments()
	op := &operation{name: name, hold: id, buyer: r.Buyer, args: args, came: time.Now(), then: func(out outcome) {
		switch {
		case out.err == nil && out.reply != again:
			then(d.decided(l, &r, id, out.reply))
		case out.err == nil, ofAnotherEpoch(out.err):
			d.later(l, r, then)
		default:
			then(onsale.Hold{}, inWords(out.err))
		}
	}}
	if err := b.submit(op); err != nil {
		then(onsale.Hold{}, err)
	}
}

func (d *Desk) later(l *onsale.Layout, r Request, then func(onsale.Hold, error)) {
	d.wg.Go(func() { then(d.Hold(context.Background(), l, r)) })
}

// PinThen is Pin for who can't wait; see HoldThen.
func (d *Desk) PinThen(l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID, generation uint64, then func(onsale.Hold, error)) {
	_, issued, ok := id.Parse()
	if !ok {
		then(onsale.Hold{}, errUnknownHold)
		return
	}
	b := d.home(l, buyer)
	epoch := onsale.Epoch(b.epoch.Load())
	op := &operation{name: "pin", hold: id, buyer: buyer, args: []string{strconv.FormatUint(generation, 10)}, came: time.Now(), then: func(out outcome) {
		switch {
		case out.err == nil:
			then(holdOf(l, id)(ownersAnswer("pin", out.reply, issued < epoch)))
		case ofAnotherEpoch(out.err):
			d.wg.Go(func() { then(d.Pin(context.Background(), l, id, buyer, generation)) })
		default:
			then(onsale.Hold{}, inWords(out.err))
		}
	}}
	if err := b.submit(op); err != nil {
		then(onsale.Hold{}, err)
	}
}

// ofAnotherEpoch reports whether a call was refused because Redis is in another epoch.
func ofAnotherEpoch(err error) bool {
	s, told := errors.AsType[status](err)
	return told && s.word == "epoch"
}
