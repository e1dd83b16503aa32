package payment

import "onsale"

// What travels over HTTP between Client and the provider. Answers to
// POST /v1/charges and GET /v1/charges/{order} are an onsale.ChargeResult;
// refusals are a Problem.
const (
	// KeyHeader carries the idempotency key of a charge: the order's id.
	KeyHeader = "Idempotency-Key"
	// CodeUnknownCharge is the Problem of a look-up that found nothing.
	CodeUnknownCharge = "unknown_charge"
	// LedgerPageEntries is the most entries a page of the ledger has.
	LedgerPageEntries = 1000
)

// ChargeRequest is the body of POST /v1/charges. It has no time in it: a charge
// that is asked for again later is the same charge.
type ChargeRequest struct {
	Event        onsale.EventID `json:"event"`
	Amount       int64          `json:"amount"` // minor units
	Currency     string         `json:"currency"`
	PaymentToken string         `json:"payment_token"`
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
