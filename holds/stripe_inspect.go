package holds

import (
	"context"
	"errors"

	"onsale"
)

// inspectStripes is Inspect for a striped event: what its stripes have, together.
func (d *Desk) inspectStripes(ctx context.Context, l *onsale.Layout) (*onsale.HoldsView, error) {
	all := &onsale.HoldsView{Buyers: map[onsale.BuyerID]int64{}}
	var stocks []*onsale.Stock
	for _, id := range booksOf(l.Event) {
		view, err := d.inspectBook(ctx, l, id)
		if err != nil {
			return nil, err
		}
		stocks = append(stocks, &view.Stock)
		all.Holds = append(all.Holds, view.Holds...)
		all.InFlux += view.InFlux
		for buyer, n := range view.Buyers {
			all.Buyers[buyer] += n
		}
	}
	all.Stock = *sumOf(l, stocks)
	if all.Stock.Sale == onsale.SaleRecovering {
		return all, nil
	}
	var s status
	if err := d.inspectShares(l, all); errors.As(err, &s) {
		all.Stock.Sale = onsale.SaleRecovering // it has begun meanwhile
	} else if err != nil {
		return nil, err
	}
	return all, nil
}

// inspectShares adds what each stripe has of each section, and what is under way.
func (d *Desk) inspectShares(l *onsale.Layout, view *onsale.HoldsView) error {
	for _, section := range l.Sections() {
		stripes, err := d.survey(l, section.Index, 0)
		for range inspectTries {
			if err != nil || !borrowedBeforeLent(stripes) {
				break
			}
			stripes, err = d.survey(l, section.Index, 0)
		}
		if err != nil {
			return err
		}
		shares := onsale.SharedSection{Stripes: make([]onsale.SharedStripe, len(stripes))}
		for i, s := range stripes {
			shares.Stripes[i] = onsale.SharedStripe{Counts: s.counts, Capacity: s.capacity()}
		}
		for _, t := range underWay(section.Index, stripes) {
			shares.UnderWay += t.total - stripes[t.to].borrowed[t.from]
		}
		view.Shared = append(view.Shared, shares)
	}
	return nil
}

// inspectTries is how often stripes are asked anew which told of different moments.
const inspectTries = 20

// borrowedBeforeLent reports whether one stripe tells of a loan that another hasn't made
// yet: it was asked later than that one.
func borrowedBeforeLent(stripes []stripeStock) bool {
	for to := range stripes {
		for from, n := range stripes[to].borrowed {
			if from >= len(stripes) || stripes[from].lent[to] < n {
				return true
			}
		}
	}
	return false
}
