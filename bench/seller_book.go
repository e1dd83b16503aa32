package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"onsale"
)

// peerBook speaks bench/peers/README.md's half of what a peer, or a stranger's system,
// has to understand besides holds.
type peerBook struct{ api *api }

func (b peerBook) open(event onsale.EventID, capacity int64) error {
	return b.api.send(request{method: "PUT", path: "/events/" + string(event), wait: defaultResultTimeout,
		body: map[string]any{"capacity": capacity, "max_per_buyer": onsale.MaxPerBuyer}}, nil)
}

func (b peerBook) sold(event onsale.EventID) (int64, error) {
	var count struct {
		Sold *int64 `json:"sold"`
	}
	err := b.api.send(request{method: "GET", path: "/events/" + string(event), wait: defaultResultTimeout}, &count)
	if err == nil && count.Sold == nil {
		err = errors.New(`the answer has no "sold"`)
	}
	if err != nil {
		return 0, err
	}
	return *count.Sold, nil
}

// onsaleBook is Onsale's own. Whoever counts what it sold has it audited: what the audits
// find is in its violations.
type onsaleBook struct {
	run        *holdsRun
	violations []onsale.Violation
}

func (b *onsaleBook) open(event onsale.EventID, capacity int64) error {
	return b.run.create(event, capacity)
}

func (b *onsaleBook) sold(event onsale.EventID) (sold int64, err error) {
	audit, err := b.run.auditEvent(event)
	if err != nil {
		return 0, err
	}
	b.violations = append(b.violations, audit.Violations...)
	for _, s := range audit.Sections {
		sold += s.Held + s.Pinned + s.Sold
	}
	return sold, nil
}

// traits are what a seller does besides selling no more than there is.
type traits struct {
	Repeats bool `json:"repeats_keys"` // who asks again under the same key is given the same hold
	Limits  bool `json:"limits_buyers"`
}

// examine finds a seller's traits out, by asking it as one buyer of an event of its own.
func (s *seller) examine(event onsale.EventID) error {
	of, err := s.open(event, onsale.MaxPerBuyer+2)
	if err != nil {
		return err
	}
	wire, path := s.crowd.wires[0], "/v1/events/"+string(of.event)+"/holds"
	if err := wire.conn.SetDeadline(time.Now().Add(wirePatience)); err != nil {
		return fmt.Errorf("examining %s: %w", s.name, err)
	}
	ask := func(key string) (status int, said string, err error) {
		got, err := wire.ask(appendRequest(nil, path, s.tokens[0], key, oneOfTheFloor))
		return got.status, string(got.body), err
	}
	_, first, err := ask("examined-0")
	for n := 1; n < onsale.MaxPerBuyer && err == nil; n++ {
		var status int
		if status, _, err = ask(fmt.Sprint("examined-", n)); err == nil && status != 201 {
			err = fmt.Errorf("hold %d of the %d that a buyer may have is answered %d", n+1, onsale.MaxPerBuyer, status)
		}
	}
	if err != nil {
		return fmt.Errorf("examining %s: %w", s.name, err)
	}
	status, again, err := ask("examined-0")
	s.traits.Repeats = status == 201 && again == first && strings.TrimSpace(first) != ""
	of.told.held = onsale.MaxPerBuyer
	if status == 201 && !s.traits.Repeats {
		of.told.held++
	}
	if err == nil {
		status, _, err = ask("examined-beyond")
		s.traits.Limits = status == 409
	}
	if status == 201 {
		of.told.held++
	}
	if err != nil {
		return fmt.Errorf("examining %s: %w", s.name, err)
	}
	return nil
}
