package bench

import (
	"fmt"
	"sync"
	"time"

	"onsale"
)

// The ledger is what the buyers were told, kept so that it can be held against what
// is true when the rush is over. The bench believes nothing else: what the server
// says of itself is checked by this, not the other way round.
type ledger struct {
	mu         sync.Mutex
	promises   []promise                          // under mu: an answer to each checkout that was sent
	letGo      []letGo                            // under mu: holds left to expire
	repeats    []repeat                           // under mu: holds to ask for again, under the same key
	tickets    map[onsale.TicketID]onsale.OrderID // under mu
	takings    map[onsale.HoldID]*taking          // under mu: what was granted
	doubted    []taking                           // under mu: what may have been granted
	refusals   []refusedHold                      // under mu: what was refused as sold out; bounded by maxRefusals
	unweighed  int64                              // under mu: refusals beyond those
	seenFree   []seenFree                         // under mu: of what was let go
	violations []onsale.Violation                 // under mu; bounded by maxViolations
	unlisted   int                                // under mu: violations beyond those
}

// maxViolations bounds a report: one defect may break a promise to every buyer.
const maxViolations = 100

// promise is what became of one checkout, as its buyer knows it.
type promise struct {
	order    onsale.OrderID
	token    string // the buyer's
	lines    []onsale.Line
	asked    time.Time         // when it was first sent
	accepted bool              // answered 202; otherwise nobody said what was done
	paidLate bool              // by a card that is captured after it was declined
	told     onsale.OrderState // the end that the buyer was told of; "" if they never were
}

// letGo is a hold that its buyer walked away from.
type letGo struct {
	hold      onsale.HoldID
	token     string // the buyer's
	expiresAt time.Time
}

// repeat is a request for a hold which was granted.
type repeat struct {
	request request
	hold    onsale.HoldID
}

func newLedger() *ledger {
	return &ledger{tickets: map[onsale.TicketID]onsale.OrderID{}, takings: map[onsale.HoldID]*taking{}}
}

// violate records a broken promise.
func (l *ledger) violate(invariant onsale.Invariant, subject, format string, args ...any) {
	l.accuse(onsale.Violation{Invariant: invariant, Subject: subject, Detail: fmt.Sprintf(format, args...)})
}

// accuse records a broken promise with what led to it.
func (l *ledger) accuse(v onsale.Violation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addViolation(v)
}

// broken is how many violations were found so far.
func (l *ledger) broken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.violations) + l.unlisted
}

func (l *ledger) addViolation(v onsale.Violation) { // with mu
	if len(l.violations) == maxViolations {
		l.unlisted++
		return
	}
	l.violations = append(l.violations, v)
}

func (l *ledger) promised(p promise) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promises = append(l.promises, p)
}

func (l *ledger) leave(h letGo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letGo = append(l.letGo, h)
}

func (l *ledger) repeatLater(r repeat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repeats = append(l.repeats, r)
}

// ticketed records the tickets that a buyer was given for an order of so many
// admissions: each is one of a kind, and there are as many as were paid for.
func (l *ledger) ticketed(order onsale.OrderID, admissions int, tickets []onsale.Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(tickets) != admissions {
		l.addViolation(onsale.Violation{Invariant: onsale.InvariantKeys, Subject: string(order),
			Detail: fmt.Sprintf("has %d tickets for %d admissions", len(tickets), admissions)})
	}
	for _, t := range tickets {
		if other, taken := l.tickets[t.ID]; taken {
			l.addViolation(onsale.Violation{Invariant: onsale.InvariantKeys, Subject: string(t.ID),
				Detail: fmt.Sprintf("is a ticket of order %s and of order %s, or twice of one", other, order)})
		}
		l.tickets[t.ID] = order
		if t.Order != order || t.Code == "" {
			l.addViolation(onsale.Violation{Invariant: onsale.InvariantKeys, Subject: string(t.ID),
				Detail: fmt.Sprintf("was given for order %s, but is of %q and has code %q", order, t.Order, t.Code)})
		}
	}
}
