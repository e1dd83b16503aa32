package onsale

import "time"

// TicketState says whether a ticket may be used. That it has been used is its
// AdmittedAt: a ticket that was admitted can still be refunded.
type TicketState string

// The states of a ticket.
const (
	TicketValid   TicketState = "valid"
	TicketBlocked TicketState = "blocked" // a refund of it is under way: it admits nobody until that is decided
	TicketVoid    TicketState = "void"    // refunded, for good
)

// ticketTransitions is the one place that says how a ticket may move; Postgres has
// the same in ticket_transitions.
var ticketTransitions = map[TicketState][]TicketState{
	TicketValid:   {TicketBlocked, TicketVoid},
	TicketBlocked: {TicketValid, TicketVoid},
}

// CanBecome reports whether a ticket may move from s to next.
func (s TicketState) CanBecome(next TicketState) bool {
	for _, to := range ticketTransitions[s] {
		if to == next {
			return true
		}
	}
	return false
}

// Ticket is one admission. It belongs to its owner, who is the order's buyer until
// it is transferred; the order, and a refund of it, stay the buyer's.
type Ticket struct {
	ID          TicketID    `json:"id"`
	Order       OrderID     `json:"order"`
	Event       EventID     `json:"event"`
	Section     string      `json:"section"`
	Seat        string      `json:"seat,omitempty"` // "" in a general section
	State       TicketState `json:"state"`
	Serial      int         `json:"serial"`         // rises by one with each re-issue: only the latest code admits
	Code        string      `json:"code,omitempty"` // signed; a gate checks it offline. "" if it is void or someone else's
	IssuedAt    time.Time   `json:"issued_at"`      // this code of it
	AdmittedAt  *time.Time  `json:"admitted_at,omitempty"`
	Transferred bool        `json:"transferred,omitempty"` // it is another buyer's now
	Owner       BuyerID     `json:"-"`
}

// CheckUse returns why the ticket can't be used: it is void or blocked. A ticket
// that has been admitted passes: who asks must look at AdmittedAt too.
func (t *Ticket) CheckUse() error {
	switch t.State {
	case TicketVoid:
		return Refuse(CodeTicketVoid, "the ticket was refunded and is void")
	case TicketBlocked:
		return Refuse(CodeTicketBlocked, "the ticket is being refunded; until that is decided it can't be used")
	}
	return nil
}

// CheckTransfer returns why the ticket can't change hands.
func (t *Ticket) CheckTransfer() error {
	if t.AdmittedAt != nil {
		return Refuse(CodeAlreadyAdmitted, "the ticket has been used at the gate, so it can't be given to anyone")
	}
	return t.CheckUse()
}

// CheckAdmission returns why a genuine code of the ticket, of the given serial, admits
// nobody. first is how the ticket was admitted before, nil if it wasn't.
func (t *Ticket) CheckAdmission(serial int, first *Checkin) error {
	if err := t.CheckUse(); err != nil {
		return err
	}
	if serial != t.Serial {
		return Refuse(CodeTicketReissued, "the ticket was given to someone else, who has a new code; this one is void")
	}
	if t.AdmittedAt != nil {
		return &Error{Code: CodeAlreadyAdmitted, Detail: "someone has been admitted with this ticket before", First: first}
	}
	return nil
}

// Checkin is one ticket admitted at a gate. There is one a ticket, for good.
type Checkin struct {
	Ticket  TicketID  `json:"ticket"`
	Event   EventID   `json:"event"`
	Section string    `json:"section"`
	Seat    string    `json:"seat,omitempty"`
	Serial  int       `json:"serial"`
	Gate    string    `json:"gate"` // as the operator calls it
	At      time.Time `json:"at"`   // by Postgres's clock
}

// AdmittedSection is how far a section has filled at the gates.
type AdmittedSection struct {
	ID       string `json:"id"`
	Tickets  int64  `json:"tickets"`  // that admit, or have admitted
	Admitted int64  `json:"admitted"` // at a gate
}

// VoidCode says which codes of a ticket admit nobody: those up to a serial. It is what
// a gate without a network needs besides the public key.
type VoidCode struct {
	Ticket TicketID `json:"ticket"`
	Serial int      `json:"serial"` // of the latest void code
}
