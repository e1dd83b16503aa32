package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"onsale"
	"onsale/holds"
)

// way is how holds are sent to Redis.
type way func(*holds.Straight, context.Context, []holds.Request) (granted int, err error)

// general holds one admission of a general section for one buyer after the other.
func (r *run) general(send way) func(context.Context, int) (float64, error) {
	return func(ctx context.Context, _ int) (float64, error) {
		l, err := r.lay(ctx, onsale.Section{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4_900, Capacity: generalHolds})
		if err != nil {
			return 0, err
		}
		requests, err := crowd(l, generalHolds, onsale.Ask{Section: "floor", Quantity: 1})
		if err != nil {
			return 0, err
		}
		seconds, err := r.hold(ctx, l, send, requests)
		return generalHolds / seconds, err
	}
}

// pairs holds the best two together, from an empty section until it is sold out. Of
// those that are sent together it notes what the first and the last cost.
func (r *run) pairs(send way, note bool) func(context.Context, int) (float64, error) {
	return func(ctx context.Context, round int) (float64, error) {
		l, err := r.lay(ctx, onsale.Section{ID: "stand", Name: "Stand", Kind: onsale.Reserved, Price: 7_900,
			Grid: &onsale.Grid{Rows: pairRows, Seats: pairRowSeats}})
		if err != nil {
			return 0, err
		}
		requests, err := crowd(l, pairHolds, onsale.Ask{Section: "stand", Quantity: 2})
		if err != nil {
			return 0, err
		}
		var seconds [3]float64 // empty, in between, full
		for i, part := range [][]holds.Request{requests[:edgeHolds], requests[edgeHolds : pairHolds-edgeHolds], requests[pairHolds-edgeHolds:]} {
			if seconds[i], err = r.hold(ctx, l, send, part); err != nil {
				return 0, err
			}
		}
		if note && round > 0 {
			r.edges["empty"] = append(r.edges["empty"], seconds[0]/edgeHolds)
			r.edges["full"] = append(r.edges["full"], seconds[2]/edgeHolds)
		}
		return pairHolds / (seconds[0] + seconds[1] + seconds[2]), nil
	}
}

// crowd is what so many buyers ask for, each once and the same.
func crowd(l *onsale.Layout, n int, ask onsale.Ask) ([]holds.Request, error) {
	asks, err := l.CheckAsks([]onsale.Ask{ask})
	if err != nil {
		return nil, err
	}
	requests := make([]holds.Request, n)
	for i := range requests {
		requests[i] = holds.Request{Buyer: onsale.NewBuyerID(), Asks: asks, Key: "k"}
	}
	return requests, nil
}

// hold has all of the requests granted, a batch at a time, and returns how many seconds
// of its thread that took Redis.
func (r *run) hold(ctx context.Context, l *onsale.Layout, send way, requests []holds.Request) (seconds float64, err error) {
	straight := r.desk.Straight(l)
	before, err := straight.MainThreadSeconds(ctx)
	if err != nil {
		return 0, err
	}
	for rest := requests; len(rest) > 0; {
		n := min(len(rest), r.cfg.Batch)
		granted, err := send(straight, ctx, rest[:n])
		if err != nil {
			return 0, err
		}
		if granted != n {
			return 0, fmt.Errorf("%d of %d holds were granted, though there was stock for all", granted, n)
		}
		rest = rest[n:]
	}
	after, err := straight.MainThreadSeconds(ctx)
	return after - before, err
}

// lay opens an event of one section.
func (r *run) lay(ctx context.Context, section onsale.Section) (*onsale.Layout, error) {
	r.laid++
	event := &onsale.Event{ID: onsale.EventID("engine-" + strconv.Itoa(r.laid)), Name: "Engine", Currency: "EUR",
		StartsAt: time.Now().AddDate(0, 1, 0), Epoch: 1, Sections: []onsale.Section{section}}
	if err := event.Complete(); err != nil {
		return nil, err
	}
	l := onsale.NewLayout(event)
	if err := r.desk.BeginRebuild(ctx, l, 1); err != nil {
		return nil, err
	}
	r.layouts = append(r.layouts, l)
	return l, r.desk.FinishRebuild(ctx, l, 1, onsale.SaleOpen, nil)
}
