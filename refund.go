package onsale

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
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

// RefundRequest is what an operator asks for. With neither tickets nor an amount it is
// the whole: every ticket that is left, and all the money.
type RefundRequest struct {
	Tickets []int  `json:"tickets,omitempty"` // the numbers of admissions, which are paid back at their price
	Amount  *int64 `json:"amount,omitempty"`  // money alone, in minor units: every ticket stays valid
	Payment string `json:"payment,omitempty"` // the reference of the captured payment; "": the only one that can be meant
	Reason  string `json:"reason,omitempty"`  // for the record and the buyer: says nothing of the person
}

// MaxReasonLength is the longest reason of a refund, in bytes.
const MaxReasonLength = 100

// MaxReferenceLength is the longest reference of a payment that a request may name, in bytes.
const MaxReferenceLength = 255

// ReasonRefundAsked is the reason of a refund for which the operator gave none.
const ReasonRefundAsked = "requested"

// Complete sorts the tickets and fills the reason in. It refuses with CodeBadRequest what
// can't be meant, whatever the order: tickets and an amount at once, no ticket at all, a
// number that is none or occurs twice, an amount of nothing, a reason or a reference that
// is too long or not plain text. Nothing that was given is ever taken for the whole.
func (r *RefundRequest) Complete() error {
	if r.Reason == "" {
		r.Reason = ReasonRefundAsked
	}
	slices.Sort(r.Tickets)
	switch {
	case r.Tickets != nil && r.Amount != nil:
		return Refuse(CodeBadRequest, "give tickets, whose price is paid back, or an amount alone, or neither for the whole")
	case r.Amount != nil && *r.Amount < 1:
		return Refuse(CodeBadRequest, "amount must be 1 or more, in minor units")
	case len(r.Tickets) > MaxPerBuyer || len(slices.Compact(slices.Clone(r.Tickets))) != len(r.Tickets) ||
		r.Tickets != nil && (len(r.Tickets) == 0 || r.Tickets[0] < 1):
		return Refuse(CodeBadRequest, "tickets are the numbers of the order's admissions, from 1, each once")
	case len(r.Payment) > MaxReferenceLength || !isPlain(r.Payment):
		return Refuse(CodeBadRequest, "payment is the reference of one of the order's payments")
	case len(r.Reason) > MaxReasonLength || !isPlain(r.Reason):
		return Refuse(CodeBadRequest, fmt.Sprintf("reason must have up to %d bytes of plain text", MaxReasonLength))
	}
	return nil
}

// isPlain reports whether a text has nothing in it that can't be printed on a line.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}

// RefundState is how far a refund has come: due → made, or refused; and what was made may fail.
type RefundState string

// The states of a refund. The two in the middle are the provider's outcomes.
const (
	RefundStateDue     RefundState = "due" // the provider is being asked; its tickets admit nobody
	RefundStateMade    RefundState = RefundState(RefundMade)
	RefundStateRefused RefundState = RefundState(RefundRefused) // its tickets are valid again
	// RefundStateFailed is that of a refund that was made, and whose money the bank sent
	// back later: the buyer has neither it nor the tickets, and a person must see to that.
	RefundStateFailed RefundState = "failed"
)

// RefundEntry is a refund as the book has it.
type RefundEntry struct {
	ID        RefundID    `json:"id"`
	Order     OrderID     `json:"order"`
	Payment   string      `json:"payment"` // the provider's reference of the captured payment that it is of
	State     RefundState `json:"state"`
	Tickets   []int       `json:"tickets"` // the numbers of the admissions that it ends; none: money alone
	Amount    int64       `json:"amount"`  // minor units
	Currency  string      `json:"currency"`
	Reason    string      `json:"reason"`
	Refusal   string      `json:"refusal,omitempty"`   // why the provider refuses, or why it failed
	Reference string      `json:"reference,omitempty"` // the provider's id of it, once it is made
	AskedAt   time.Time   `json:"asked_at"`
	EndedAt   time.Time   `json:"ended_at,omitzero"` // when it came to the state that it is in
}

// DueRefund is a refund on a worker's hands.
type DueRefund struct {
	Refund
	Attempts int           // how often workers have had it, this time included
	Result   *RefundResult // the provider's answer, if it is in the book already and was only not told; nil: it must be asked
	Told     bool          // it was made and told long since: the provider is only asked whether it still stands
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
	RefundRefused RefundOutcome = "refused" // it never will be: more than was captured, or disputed; or it was, and has failed
)

// RefundResult is the provider's definite answer.
type RefundResult struct {
	ID        RefundID      `json:"id"`
	Outcome   RefundOutcome `json:"outcome"`
	Reference string        `json:"reference,omitempty"` // the provider's id of the refund
	Reason    string        `json:"reason,omitempty"`    // why it was refused
	At        time.Time     `json:"at"`
}
