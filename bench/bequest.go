package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"onsale"
)

// A bequest is a ledger on its way from the worker that wrote it to who judges all of them as if
// they were one: what was told to buyers of different workers may contradict each other.
type bequest struct {
	Promises   []bequestPromise                   `json:"promises,omitempty"`
	LetGo      []bequestHold                      `json:"let_go,omitempty"`
	Repeats    []bequestRepeat                    `json:"repeats,omitempty"`
	Tickets    map[onsale.TicketID]onsale.OrderID `json:"tickets,omitempty"`
	Violations []onsale.Violation                 `json:"violations,omitempty"`
	Unlisted   int                                `json:"unlisted,omitempty"`
	Takings    map[onsale.HoldID]bequestTaking    `json:"takings,omitempty"`
	Doubted    []bequestTaking                    `json:"doubted,omitempty"`
	Refusals   []bequestRefusal                   `json:"refusals,omitempty"`
	Unweighed  int64                              `json:"unweighed,omitempty"`
	SeenFree   []seenFree                         `json:"seen_free,omitempty"`
}

type bequestTaking struct {
	Lines    []onsale.Line `json:"lines"`
	Asked    time.Time     `json:"asked"`
	Deadline time.Time     `json:"deadline,omitzero"`
	Pinned   bool          `json:"pinned,omitempty"`
	Free     time.Time     `json:"free,omitzero"`
}

// bequestRefusal has short names: of nothing else there are so many.
type bequestRefusal struct {
	Section  string    `json:"s"`
	Quantity int       `json:"n"`
	Asked    time.Time `json:"a"`
	Answered time.Time `json:"b"`
}

type bequestPromise struct {
	Order    onsale.OrderID    `json:"order"`
	Token    string            `json:"token"`
	Lines    []onsale.Line     `json:"lines"`
	Asked    time.Time         `json:"asked"`
	Accepted bool              `json:"accepted,omitempty"`
	PaidLate bool              `json:"paid_late,omitempty"`
	Told     onsale.OrderState `json:"told,omitempty"`
}

type bequestHold struct {
	Hold      onsale.HoldID `json:"hold"`
	Token     string        `json:"token"`
	ExpiresAt time.Time     `json:"expires_at"`
}

type bequestRepeat struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Token  string          `json:"token"`
	Key    string          `json:"key"`
	Body   json.RawMessage `json:"body"`
	Hold   onsale.HoldID   `json:"hold"`
}

// bequeath takes everything out of the ledger.
func (l *ledger) bequeath() (*bequest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &bequest{Tickets: l.tickets, Violations: l.violations, Unlisted: l.unlisted, SeenFree: l.seenFree}
	for _, p := range l.promises {
		b.Promises = append(b.Promises, bequestPromise{p.order, p.token, p.lines, p.asked, p.accepted, p.paidLate, p.told})
	}
	for _, h := range l.letGo {
		b.LetGo = append(b.LetGo, bequestHold{h.hold, h.token, h.expiresAt})
	}
	for _, r := range l.repeats {
		body, err := json.Marshal(r.request.body)
		if err != nil {
			return nil, fmt.Errorf("handing on the ledger: %w", err)
		}
		b.Repeats = append(b.Repeats, bequestRepeat{r.request.method, r.request.path, r.request.token, r.request.key, body, r.hold})
	}
	b.Takings, b.Unweighed = make(map[onsale.HoldID]bequestTaking, len(l.takings)), l.unweighed
	for hold, t := range l.takings {
		b.Takings[hold] = t.bequest()
	}
	for _, t := range l.doubted {
		b.Doubted = append(b.Doubted, t.bequest())
	}
	for _, r := range l.refusals {
		b.Refusals = append(b.Refusals, bequestRefusal{r.section, r.quantity, r.asked, r.answered})
	}
	empty := newLedger()
	l.promises, l.letGo, l.repeats, l.tickets, l.violations, l.unlisted = nil, nil, nil, empty.tickets, nil, 0
	l.takings, l.doubted, l.refusals, l.unweighed, l.seenFree = empty.takings, nil, nil, 0, nil
	return b, nil
}

// bequeathFound takes the violations alone out of the ledger; nil if there are none.
func (l *ledger) bequeathFound() *bequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.violations)+l.unlisted == 0 {
		return nil
	}
	b := &bequest{Violations: l.violations, Unlisted: l.unlisted}
	l.violations, l.unlisted = nil, 0
	return b
}

func (t *taking) bequest() bequestTaking {
	return bequestTaking{t.lines, t.asked, t.deadline, t.pinned, t.free}
}

// inherit adds another ledger to this one. Its clock was ahead of ours by ahead, which is taken off whatever
// that clock said: a deadline is the server's.
func (l *ledger) inherit(b *bequest, ahead time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range b.Promises {
		l.promises = append(l.promises, promise{p.Order, p.Token, p.Lines, p.Asked.Add(-ahead), p.Accepted, p.PaidLate, p.Told})
	}
	for _, h := range b.LetGo {
		l.letGo = append(l.letGo, letGo{h.Hold, h.Token, h.ExpiresAt})
	}
	for _, r := range b.Repeats {
		l.repeats = append(l.repeats, repeat{hold: r.Hold,
			request: request{method: r.Method, path: r.Path, token: r.Token, key: r.Key, body: r.Body}})
	}
	for ticket, order := range b.Tickets {
		if other, taken := l.tickets[ticket]; taken {
			l.addViolation(onsale.Violation{Invariant: onsale.InvariantKeys, Subject: string(ticket),
				Detail: fmt.Sprintf("is a ticket of order %s and of order %s", other, order)})
		}
		l.tickets[ticket] = order
	}
	for _, v := range b.Violations {
		l.addViolation(v)
	}
	l.unlisted += b.Unlisted
	for hold, t := range b.Takings {
		ours := t.taking(ahead)
		l.takings[hold] = &ours
	}
	for _, t := range b.Doubted {
		l.doubted = append(l.doubted, t.taking(ahead))
	}
	room := min(len(b.Refusals), maxRefusals-len(l.refusals))
	for _, r := range b.Refusals[:room] {
		l.refusals = append(l.refusals, refusedHold{r.Section, r.Quantity, r.Asked.Add(-ahead), r.Answered.Add(-ahead)})
	}
	for _, f := range b.SeenFree {
		f.Seen = f.Seen.Add(-ahead)
		l.seenFree = append(l.seenFree, f)
	}
	l.unweighed += b.Unweighed + int64(len(b.Refusals)-room)
}

func (t bequestTaking) taking(ahead time.Duration) taking {
	free := t.Free
	if !free.IsZero() && !free.Equal(t.Deadline) {
		free = free.Add(-ahead)
	}
	return taking{t.Lines, t.Asked.Add(-ahead), t.Deadline, t.Pinned, free}
}
