package onsale

import (
	"strings"
	"time"
)

// RefundID names one paying back, "ref_…". It is the idempotency key under which the provider is asked.
type RefundID string

const refundPrefix = "ref_"

// NewRefundID returns an id that can't be guessed.
func NewRefundID() RefundID { return RefundID(refundPrefix + randomText()) }

// Valid reports whether the id has a refund's form.
func (id RefundID) Valid() bool {
	text, ok := strings.CutPrefix(string(id), refundPrefix)
	return ok && isRandom(text)
}

// Refund asks the provider to pay back money that it captured, the whole of it or a part.
type Refund struct {
	ID        RefundID `json:"id"`
	Order     OrderID  `json:"order"`
	Event     EventID  `json:"event"`
	Reference string   `json:"reference"` // the provider's id of the charge
	Amount    int64    `json:"amount"`    // minor units, at least 1
	Currency  string   `json:"currency"`
	Reason    string   `json:"reason"` // for the provider's record; says nothing of the buyer
}

// RefundOutcome is what became of a refund for certain.
type RefundOutcome string

// The outcomes. As of a charge, "don't know" is asked again, never told.
const (
	RefundMade    RefundOutcome = "made"
	RefundRefused RefundOutcome = "refused" // it never will be: more than was captured, or disputed
)

// RefundResult is the provider's definite answer.
type RefundResult struct {
	ID        RefundID      `json:"id"`
	Outcome   RefundOutcome `json:"outcome"`
	Reference string        `json:"reference,omitempty"` // the provider's id of the refund
	Reason    string        `json:"reason,omitempty"`    // why it was refused
	At        time.Time     `json:"at"`
}
