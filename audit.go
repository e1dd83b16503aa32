package onsale

import (
	"fmt"
	"strings"
	"time"
)

// Invariant is the number of one of the seven promises, as DESIGN.md lists them.
type Invariant int

// The invariants.
const (
	InvariantCounts  Invariant = 1 // available + held + pinned + sold = capacity, none negative
	InvariantClaims  Invariant = 2 // no seat has two live claims, no section more than its capacity
	InvariantCharges Invariant = 3 // each captured payment has one ticketed order or one full refund
	InvariantOrders  Invariant = 4 // each 202 ends: ticketed, rejected, declined or refunded
	InvariantKeys    Invariant = 5 // one idempotency key, one effect, one stable answer
	InvariantHolds   Invariant = 6 // no hold outlives its deadline, none overlaps another
	InvariantFeed    Invariant = 7 // a feed client ends with exactly the server's view
)

// Violation is a broken promise, with the culprit and what is known of it.
type Violation struct {
	Invariant Invariant `json:"invariant"`
	Subject   string    `json:"subject"` // the section, seat, hold, order or feed
	Detail    string    `json:"detail"`
	History   []string  `json:"history,omitempty"` // what happened to it, oldest first
}

// Unchecked is an invariant that an audit could not check, or not in full: nothing is
// known of it, neither good nor bad.
type Unchecked struct {
	Invariant Invariant `json:"invariant"`
	Reason    string    `json:"reason"`
}

// String is one line.
func (u Unchecked) String() string { return fmt.Sprintf("invariant %d: %s", u.Invariant, u.Reason) }

// String is one line and the history below it.
func (v Violation) String() string {
	text := fmt.Sprintf("invariant %d broken by %s: %s", v.Invariant, v.Subject, v.Detail)
	for _, h := range v.History {
		text += "\n    " + h
	}
	return text
}

// AuditReport is what an audit of one event found.
type AuditReport struct {
	Event         EventID              `json:"event"`
	At            time.Time            `json:"at"`
	Orders        map[OrderState]int64 `json:"orders"`
	Sections      []AuditedSection     `json:"sections"`
	Oversold      int64                `json:"oversold"`       // admissions claimed beyond capacity, or seats claimed twice
	LostOrders    int64                `json:"lost_orders"`    // accepted orders that came to no end
	DoubleCharges int64                `json:"double_charges"` // captured payments beyond one an order, or without one
	Violations    []Violation          `json:"violations"`
	Unchecked     []Unchecked          `json:"unchecked"` // what was not looked at; empty: every invariant was
}

// AuditedSection sets Redis's counts of a section beside Postgres's claims.
type AuditedSection struct {
	ID       string `json:"id"`
	Capacity int64  `json:"capacity"`
	Counts
	Claimed int64 `json:"claimed"` // live claims in Postgres
}

// OK reports whether nothing was found. Only if nothing is unchecked either does
// every invariant hold.
func (r *AuditReport) OK() bool { return len(r.Violations) == 0 }

// Add records a violation.
func (r *AuditReport) Add(v Invariant, subject, detail string, history ...string) {
	r.Violations = append(r.Violations, Violation{Invariant: v, Subject: subject, Detail: detail, History: history})
}

// Err is nil if nothing was found, else an error that lists every violation.
func (r *AuditReport) Err() error {
	if r.OK() {
		return nil
	}
	lines := make([]string, len(r.Violations))
	for i, v := range r.Violations {
		lines[i] = v.String()
	}
	return &AuditError{Text: strings.Join(lines, "\n")}
}

// AuditError says that an invariant is broken. A command that meets it exits with 3.
type AuditError struct{ Text string }

// Error implements error.
func (e *AuditError) Error() string { return e.Text }

// HoldsView is what Redis knows of one event, as it was at one moment, for the auditor.
type HoldsView struct {
	Stock  Stock
	Holds  []HeldRecord
	Buyers map[BuyerID]int64 // admissions held, pinned and sold, by buyer
	Shared []SharedSection   // of a striped event: by section; each read in steps of its own
	// InFlux is how many holds are left out, because they changed while they were read.
	// The counts, seats and buyers have theirs, so the others add up to less; and Buyers
	// are then of a moment a little before.
	InFlux int
}

// SharedSection is how a section is spread over an event's stripes.
type SharedSection struct {
	Stripes  []SharedStripe
	UnderWay int64 // lent by one stripe and not yet borrowed by another
}

// SharedStripe is what one stripe has of a section, in one snapshot.
type SharedStripe struct {
	Counts
	Capacity int64 // what it was laid with, less what it has lent, and what it has borrowed
}

// HeldRecord is one hold as Redis has it, ended holds included while they are remembered.
type HeldRecord struct {
	Hold
	Due      time.Time // when the expiry index will look at it; zero if it is not in the index
	PinnedAt time.Time // when the pin index says it was pinned; zero if it is not in the index
	// Owed says that it is sold by Postgres's word, while what it had is another hold's:
	// Redis counts none of it, and makes it good when the other ends.
	Owed bool
	// Unreadable says why the record can't be read: only its id is known then. "" if it can.
	Unreadable string
}

// LedgerEntry is what the payment provider says of one order, by its idempotency key.
type LedgerEntry struct {
	Order     OrderID       `json:"order"`
	Reference string        `json:"reference"`
	Outcome   ChargeOutcome `json:"outcome"`
	Amount    int64         `json:"amount"`
	Refunded  int64         `json:"refunded"`
	Currency  string        `json:"currency"`
	Captures  int           `json:"captures"` // how often money was taken: more than 1 is a double charge
}
