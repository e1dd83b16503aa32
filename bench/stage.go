package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"onsale"
)

// The stage of a rush is the event that is stormed: one that is there, one that was
// asked for, or one whose size fits the crowd.

// prepare sees to it that the event exists and is on sale, and opens the first feed.
func (r *rush) prepare(ctx context.Context) error {
	var refusal *onsale.Error
	if err := r.api.send(request{method: "GET", path: "/v1/events"}, nil); err != nil && !errors.As(err, &refusal) {
		return wrong("target: nothing answers as Onsale does at %s: start onsale serve or onsale demo there, or give another --target (%v)", r.cfg.Target, err)
	}
	event, err := r.findOrCreate(ctx)
	if code := onsale.CodeOf(err); code == onsale.CodeForbidden || code == onsale.CodeUnauthenticated {
		return wrong("admin token: %s doesn't know this one as its operator's: give the token that it was started with", r.cfg.Target)
	}
	if err != nil {
		return err
	}
	if err := event.Complete(); err != nil {
		return fmt.Errorf("reading event %s: %w", event.ID, err)
	}
	r.layout = onsale.NewLayout(event)
	r.ours = r.cfg.Event == "" && r.cfg.Create == nil
	if event.Sale == onsale.SaleDraft && r.cfg.Event == "" {
		if err := r.moveSale(ctx, "open"); err != nil {
			return err
		}
	}
	first, _, _ := strings.Cut(r.cfg.FeedTarget, ",")
	r.dialer = newDialer(first, event.ID)
	r.sight, r.vigil = newSight(r.layout, r.ledger), newVigil(r.ledger, r.layout)
	r.observer = r.watch("")
	ctx, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	select {
	case <-r.observer.ready:
		r.epoch = r.observer.view().Epoch
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no snapshot on the feed at %s: %w", r.cfg.FeedTarget, errors.Join(r.observer.lastError(), ctx.Err()))
	}
}

func (r *rush) findOrCreate(ctx context.Context) (*onsale.Event, error) {
	event := new(onsale.Event)
	if r.cfg.Event != "" {
		// A token that can't audit is better found out before the storm than after it.
		if err := r.admin(ctx, "GET", "/v1/admin/events/"+string(r.cfg.Event)+"/audit", nil, nil); err != nil {
			return nil, err
		}
		return event, r.admin(ctx, "GET", "/v1/events/"+string(r.cfg.Event), nil, event)
	}
	if r.cfg.Create != nil {
		return event, r.admin(ctx, "POST", "/v1/admin/events", r.cfg.Create, event)
	}
	own := arena(r.cfg.Users)
	if r.cfg.Tickets > 0 {
		own = hall(r.cfg.Tickets)
	}
	return event, r.admin(ctx, "POST", "/v1/admin/events", own, event)
}

// moveSale opens or closes the event's sale.
func (r *rush) moveSale(ctx context.Context, verb string) error {
	return r.admin(ctx, "POST", "/v1/admin/events/"+string(r.layout.Event.ID)+"/"+verb, nil, nil)
}

// admin sends a request as the operator, with patience.
func (r *rush) admin(ctx context.Context, method, path string, body, into any) error {
	operator := r.buyer(-1)
	return operator.insist(ctx, request{method: method, path: path, token: r.cfg.AdminToken, body: body}, nil, into)
}

const (
	// scarcity is how many admissions the bench's own event has for each buyer: a crowd
	// of those who want one to four sells it out.
	scarcity = 1.5
	// shareOfFloor is the part of them that is general admission.
	shareOfFloor = 1.0 / 3
	rowSeats     = 40
	standRows    = 50
	// ownHoldSeconds is short, so that holds which are let go come back while the rush looks on.
	ownHoldSeconds = 15
)

// arena returns an event for a crowd of so many buyers, with an id of its own: a floor
// and as many stands as are needed.
func arena(users int) *onsale.Event {
	capacity := max(12, int(scarcity*float64(users)))
	floor := int(shareOfFloor * float64(capacity))
	rows := min((capacity-floor+rowSeats-1)/rowSeats, onsale.MaxSeatsPerEvent/rowSeats)
	event := ownEvent()
	event.Sections = []onsale.Section{{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4_900, Capacity: int64(floor)}}
	for n := 1; rows > 0; n++ {
		event.Sections = append(event.Sections, onsale.Section{
			ID: fmt.Sprintf("stand-%d", n), Name: fmt.Sprintf("Stand %d", n), Kind: onsale.Reserved, Price: 7_900,
			Grid: &onsale.Grid{Rows: min(rows, standRows), Seats: rowSeats},
		})
		rows -= standRows
	}
	return event
}

// hall returns an event of so many tickets for very many users. A snapshot of it has a letter for each
// seat and goes to every user, so most of it is general admission, in blocks; an eighth are seats.
func hall(tickets int) *onsale.Event {
	event := ownEvent()
	rows := tickets / seatsAreOneIn / rowSeats
	for n := 1; rows > 0; n++ {
		event.Sections = append(event.Sections, onsale.Section{
			ID: fmt.Sprintf("stand-%d", n), Name: fmt.Sprintf("Stand %d", n), Kind: onsale.Reserved, Price: 7_900,
			Grid: &onsale.Grid{Rows: min(rows, standRows), Seats: rowSeats},
		})
		rows -= standRows
	}
	standing := tickets - tickets/seatsAreOneIn/rowSeats*rowSeats
	blocks := min(standing, mostBlocks)
	for n := range blocks {
		event.Sections = append(event.Sections, onsale.Section{
			ID: fmt.Sprintf("block-%d", n+1), Name: fmt.Sprintf("Block %d", n+1), Kind: onsale.General, Price: 4_900,
			Capacity: int64(standing*(n+1)/blocks - standing*n/blocks),
		})
	}
	return event
}

const (
	seatsAreOneIn = 8
	mostBlocks    = 8
)

// ownEvent is an event of the bench's own, with an id of its own, and nothing to sell yet.
func ownEvent() *onsale.Event {
	return &onsale.Event{
		ID:          onsale.EventID("rush-" + time.Now().UTC().Format("20060102-150405") + "-" + suffix()),
		Name:        "Rush",
		StartsAt:    time.Now().UTC().AddDate(0, 1, 0).Truncate(time.Hour),
		Currency:    "EUR",
		HoldSeconds: ownHoldSeconds,
	}
}

// suffix keeps two rushes of one second apart.
func suffix() string {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x", b)
}
