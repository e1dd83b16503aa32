package persist

// What a provider's answer means for an order, whatever state it is in. It has no
// I/O: each case is a row of a table in the tests.

import "onsale"

// Why money that was captured bought nothing, or why an answer can't be right.
const (
	ReasonDoubleCharge = "double_charge" // the order is paid under another reference
	ReasonOrderEnded   = "order_ended"   // captured for an order that was rejected or refunded, or declined and can't be had any more
	ReasonUnknownOrder = string(onsale.CodeUnknownOrder)
	ReasonContradicted = "declined_after_capture"
)

// The states of a payment, as the table says them.
const (
	paymentSettled   = "settled"    // it bought the order's tickets
	paymentRefundDue = "refund_due" // it bought nothing, and is still the provider's
	paymentRefunded  = "refunded"
)

// verdict is what one answer leads to.
type verdict struct {
	next    onsale.OrderState // what the order becomes; "" if it stays as it is
	reason  string            // why the order is declined
	payment string            // the state of the payment to record; "" for none
	late    bool              // the order was declined: it claims again what it was for, or this is a stray
	stray   string            // why the answer must be looked at by someone; "" if it needn't
	tell    bool              // whether the order's news is told, again or for the first time
}

// judge decides about an answer. o is nil if the book has no such order; captured
// are the payments of the order that are on record: their state by reference.
func judge(o *bookedOrder, captured map[string]string, r *onsale.ChargeResult) verdict {
	if r.Outcome == onsale.ChargeCaptured {
		return judgeCapture(o, captured, r)
	}
	switch {
	case o == nil:
		return verdict{stray: ReasonUnknownOrder}
	case o.State == onsale.OrderClaimed:
		return verdict{next: onsale.OrderDeclined, reason: r.Reason, tell: true}
	case len(captured) > 0 && o.Reason != onsale.ReasonLatePayment: // which the decline came before
		return verdict{stray: ReasonContradicted, tell: true}
	default:
		return verdict{tell: true}
	}
}

func judgeCapture(o *bookedOrder, captured map[string]string, r *onsale.ChargeResult) verdict {
	known := captured[r.Reference]
	switch {
	case o == nil:
		return verdict{payment: paymentRefundDue, stray: ReasonUnknownOrder}
	case known == paymentSettled || known == paymentRefunded:
		return verdict{tell: true}
	case o.State == onsale.OrderDeclined && known == "" && r.Amount == o.Amount && r.Currency == o.Currency:
		return verdict{late: true, tell: true}
	case o.State == onsale.OrderTicketed:
		return verdict{payment: paymentRefundDue, stray: ReasonDoubleCharge, tell: true}
	case o.State != onsale.OrderClaimed:
		return verdict{payment: paymentRefundDue, stray: ReasonOrderEnded, tell: true}
	case r.Amount != o.Amount || r.Currency != o.Currency:
		// What was paid is not the price. The buyer gets the money back and no ticket,
		// and the seats go to someone who pays for them.
		return verdict{next: onsale.OrderDeclined, reason: ReasonWrongAmount, payment: paymentRefundDue, stray: ReasonWrongAmount, tell: true}
	default:
		return verdict{next: onsale.OrderTicketed, payment: paymentSettled, tell: true}
	}
}
