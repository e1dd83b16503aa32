package persist

import (
	"fmt"
	"slices"

	"onsale"
)

// checkRefunds is the other half of invariant 3: an order that is called refunded has
// been paid back in full, by the provider's word if it can be had, else by the book's.
func checkRefunds(b *books, f *findings) {
	for _, o := range b.orders {
		if o.State != onsale.OrderRefunded || o.Amount == 0 {
			continue
		}
		var refunded int64
		if e := b.ledger[o.ID]; e != nil {
			refunded = e.Refunded
		}
		recorded := slices.ContainsFunc(b.payments[o.ID], func(p paymentRow) bool { return p.state == paymentRefunded })
		switch {
		case refunded >= o.Amount:
		case b.ledger != nil && b.in.AtRest: // a ledger that was read before may lack what was refunded since
			f.add(onsale.InvariantCharges, "order "+string(o.ID), fmt.Sprintf("it is refunded, and the provider has paid back %d of %d %s",
				refunded, o.Amount, o.Currency), o.ID)
		case !recorded:
			f.add(onsale.InvariantCharges, "order "+string(o.ID), "it is refunded, and no refund of it is on record", o.ID)
		}
	}
}
