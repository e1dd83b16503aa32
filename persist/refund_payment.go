package persist

// Which payment a refund is of. An order may have several: the one that bought its
// tickets, and captures that bought nothing, of which each is paid back by itself, if the
// provider doesn't refuse. The promise: no refund is taken for one of the good payment that
// may be meant for one of the others. So it is of the payment that is named; or of the one
// that bought the tickets, if it names tickets; or of the only one that is not paid back;
// and otherwise it is refused, with all that could be meant, those included of which the
// provider is being asked just now.

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// heldPayment is a payment as a refund sees it.
type heldPayment struct {
	reference, state, currency, reason string
	amount                             int64
	left                               int64 // captured, and neither paid back nor about to be
}

// paymentsOf returns an order's payments, locked, the one that bought its tickets first.
// They are few: captures that its provider reported.
func paymentsOf(ctx context.Context, tx pgx.Tx, event onsale.EventID, order onsale.OrderID) ([]*heldPayment, error) {
	rows, err := tx.Query(ctx, `SELECT reference, state, currency, reason, amount, amount - paying_back FROM payments
		WHERE event = $1 AND order_id = $2 ORDER BY reason <> '', reference FOR UPDATE`, string(event), string(order))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*heldPayment, error) {
		var p heldPayment
		err := row.Scan(&p.reference, &p.state, &p.currency, &p.reason, &p.amount, &p.left)
		return &p, err
	})
}

// refundable is the payment that a request is of.
func refundable(payments []*heldPayment, ask onsale.RefundRequest) (*heldPayment, error) {
	if ask.Payment != "" {
		return namedPayment(payments, ask.Payment)
	}
	var meant []*heldPayment
	for _, p := range payments {
		if p.state == paymentSettled || p.state == paymentRefundDue && ask.Tickets == nil { // only what settled bought tickets
			meant = append(meant, p)
		}
	}
	switch len(meant) {
	case 0:
		return nil, notRefundable("nothing that was captured for it is left to pay back")
	case 1:
		return meant[0], nil
	}
	e := onsale.Refuse(onsale.CodeAmbiguousRefund, "more than one payment of the order is not paid back: name the one that is meant, as payment: "+listed(meant))
	for _, p := range meant {
		e.Payments = append(e.Payments, p.reference)
	}
	return nil, e
}

func namedPayment(payments []*heldPayment, reference string) (*heldPayment, error) {
	for _, p := range payments {
		switch {
		case p.reference != reference:
		case p.state == paymentRefunded:
			return nil, notRefundable("nothing of that payment is left to pay back")
		default:
			return p, nil
		}
	}
	return nil, onsale.Refuse(onsale.CodeBadRequest, "the order has no such payment: it has "+listed(payments))
}

// listed says of each payment what an operator needs to tell it from the others.
func listed(payments []*heldPayment) string {
	if len(payments) == 0 {
		return "none"
	}
	lines := make([]string, len(payments))
	for i, p := range payments {
		bought := "bought the tickets"
		if p.reason != "" {
			bought = "bought nothing, " + p.reason
		}
		lines[i] = fmt.Sprintf("%s (%s; %d of %d %s left)", p.reference, bought, p.left, p.amount, p.currency)
	}
	return strings.Join(lines, ", ")
}
