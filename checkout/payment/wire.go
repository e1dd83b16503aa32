package payment

import "onsale"

// What travels over HTTP between Client and the provider. Answers about a charge are
// an onsale.ChargeResult, about a refund an onsale.RefundResult; refusals are a Problem.
const (
	// KeyHeader carries the idempotency key: the order's id, or the refund's.
	KeyHeader = "Idempotency-Key"
	// CodeUnknownCharge is the Problem of a look-up that found nothing.
	CodeUnknownCharge = "unknown_charge"
	// CodeUnknownRefund is the same of a refund.
	CodeUnknownRefund = "unknown_refund"
	// LedgerPageEntries is the most entries a page of the ledger has.
	LedgerPageEntries = 1000
)

// ChargeRequest is the body of every POST about a charge. It has no time in it: a charge
// that is asked for again later is the same charge.
type ChargeRequest struct {
	Event        onsale.EventID `json:"event"`
	Amount       int64          `json:"amount"` // minor units
	Currency     string         `json:"currency"`
	PaymentToken string         `json:"payment_token"`
}

// RefundRequest is the body of POST /v1/refunds.
type RefundRequest struct {
	Order     onsale.OrderID `json:"order"`
	Reference string         `json:"reference"` // of the charge
	Amount    int64          `json:"amount"`    // minor units
	Currency  string         `json:"currency"`
	Reason    string         `json:"reason,omitempty"`
}

// LedgerPage is the answer to GET /v1/ledger?event=&cursor=.
type LedgerPage struct {
	Entries []onsale.LedgerEntry `json:"entries"`
	Next    string               `json:"next,omitempty"` // cursor of the next page; "" on the last
}

// Problem is a refusal, in the form of RFC 9457.
type Problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}
