package tiers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/lifecycle"
)

const (
	// halls are the events that have one book each; who doesn't go to the striped one is spread over them.
	halls = 7
	// stripes are the books of the striped event: enough that three masters get nearly the same work.
	stripes = 12
	// abreast is how many requests are under way at once at each front: twice the fronts are for twice the
	// crowd. Of fewer at each, Redis's calls would carry fewer holds, and a hold would cost more.
	abreast = 256
	// busyTries is how often a request that was answered "too much at once" is sent again.
	busyTries = 200
	// busyPause is the pause before that: a person's patience isn't measured here.
	busyPause = 50 * time.Millisecond
	// settledWithin is how long it may take until every order has its tickets.
	settledWithin = 2 * time.Minute
	// restFor is how long nothing happens while CPU time is counted: a hundred times what /proc can tell apart, and more.
	restFor = 2 * time.Second
	// knownWithin is how long a front may take to learn of an event that another has made.
	knownWithin = time.Minute
	// holdSeconds is longer than any round: nothing expires meanwhile.
	holdSeconds = 1_800
)

// The steps of a storm, each of which everybody takes before the next begins, so that what
// it costs each process can be told apart.
const (
	stepRest     = "rest" // nobody does anything: what a process costs that is there
	stepSession  = "session"
	stepLook     = "look" // one browser at each feed, which so follows the event
	stepHold     = "hold"
	stepConnect  = "connect"
	stepCheckout = "order" // until its tickets: settlement is at work meanwhile
	stepRead     = "read"
	stepRefusal  = "refusal"
)

// storm is one crowd in one house, the same in every house: each buyer signs in at a front, holds one
// admission, checks out at another front, and reads the order at the first. When everything is sold,
// each asks once more. The buyers are exactly as many as there are admissions, so nobody may be
// refused before, nor anyone get something after.
type storm struct {
	house    *house
	round    int
	events   []onsale.EventID // the first is striped, and watched
	buyers   []buyer
	watchers []*watcher
	watching lifecycle.Group
	ledger   *ledger
}

// buyer is one who buys one admission. Whoever acts for them owns it.
type buyer struct {
	token string
	hold  onsale.HoldID
}

// eventOf is what the n-th buyer comes for: every other one the striped event.
func (s *storm) eventOf(n int) onsale.EventID {
	if n%2 == 0 {
		return s.events[0]
	}
	return s.events[1+n/2%halls]
}

// prepare creates the events and opens them.
func (s *storm) prepare(ctx context.Context, n int) error {
	s.buyers = make([]buyer, n)
	for i := range 1 + halls {
		s.events = append(s.events, onsale.EventID(fmt.Sprintf("tiers-%d-%d", s.round, i)))
	}
	room := map[onsale.EventID]int64{}
	for i := range s.buyers {
		room[s.eventOf(i)]++
	}
	for i, id := range s.events {
		event := &onsale.Event{
			ID: id, Name: "Tiers", StartsAt: time.Now().UTC().AddDate(0, 1, 0).Truncate(time.Hour), Currency: "EUR",
			HoldSeconds: holdSeconds, HoldsPerMinute: 100,
			Sections: []onsale.Section{{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4_900, Capacity: room[id]}},
		}
		if i == 0 {
			event.Stripes = stripes
		}
		front := i % len(s.house.fronts)
		if err := errors.Join(s.house.operate(front, "POST", "/v1/admin/events", event, nil),
			s.house.operate(front, "POST", "/v1/admin/events/"+string(id)+"/open", nil, nil)); err != nil {
			return fmt.Errorf("open event %s: %w", id, err)
		}
	}
	return s.untilKnown(ctx)
}

// untilKnown waits until every front shows every event: one learns of what another has made.
func (s *storm) untilKnown(ctx context.Context) error {
	for front := range s.house.fronts {
		for _, id := range s.events {
			if err := until(ctx, knownWithin, "every front shows the events", func() (bool, error) {
				v, err := s.house.view(front, id)
				return err == nil && v.Sale == onsale.SaleOpen, err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// run takes the steps in their order.
func (s *storm) run(ctx context.Context, watchers int) error {
	lookers := len(s.house.feeds)
	for _, step := range []struct {
		name string
		ops  int
		do   func(context.Context) error
	}{
		{stepRest, 0, s.rest},
		{stepSession, len(s.buyers), s.signIn},
		{stepLook, 0, func(ctx context.Context) error { return s.connect(ctx, lookers) }},
		{stepHold, len(s.buyers), s.holdAll},
		{stepConnect, watchers - lookers, func(ctx context.Context) error { return s.connect(ctx, watchers-lookers) }},
		{stepCheckout, len(s.buyers), s.buyAll},
		{stepRead, len(s.buyers), s.readAll},
		{stepRefusal, len(s.buyers), s.askInVain},
	} {
		counted, err := s.house.counts(ctx)
		if err != nil {
			return err
		}
		began, before := time.Now(), s.house.spent()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		spent, took := s.house.spent().since(before), time.Since(began)
		now, err := s.house.counts(ctx)
		if err != nil {
			return err
		}
		s.ledger.note(step.name, step.ops, took, spent, now.since(counted))
	}
	return nil
}

// rest leaves the house alone.
func (s *storm) rest(ctx context.Context) error {
	if !lifecycle.Pause(ctx, restFor) {
		return ctx.Err()
	}
	return nil
}

func (s *storm) signIn(ctx context.Context) error {
	return s.each(ctx, func(front, i int) error {
		var session struct {
			Token string `json:"token"`
		}
		err := s.house.clients[front].Send(bench.Ask{Method: "POST", Path: "/v1/sessions"}, &session)
		s.buyers[i].token = session.Token
		return err
	})
}

// holdAll has everybody hold, while hardly anybody looks on: so what the feeds spend is what following takes.
func (s *storm) holdAll(ctx context.Context) error {
	before, err := s.house.view(0, s.events[0])
	if err != nil {
		return err
	}
	if err := s.hold(ctx); err != nil {
		return err
	}
	after, err := s.untilFollowed(ctx)
	if err == nil {
		s.ledger.changes += float64(after.Seq - before.Seq)
	}
	return err
}

// untilFollowed waits until every front has all of the striped event's holds.
func (s *storm) untilFollowed(ctx context.Context) (view *onsale.FeedSnapshot, err error) {
	for front := range s.house.fronts {
		if err := until(ctx, knownWithin, "every front shows every hold", func() (bool, error) {
			view, err = s.house.view(front, s.events[0])
			return err == nil && view.Sections[0].Available == 0, err
		}); err != nil {
			return nil, err
		}
	}
	return view, nil
}

func (s *storm) hold(ctx context.Context) error {
	return s.each(ctx, func(front, i int) error {
		var hold onsale.Hold
		err := s.ask(ctx, front, i, "hold", &hold)
		s.buyers[i].hold = hold.ID
		return err
	})
}

// ask asks for one admission.
func (s *storm) ask(ctx context.Context, front, i int, key string, into any) error {
	return insist(ctx, s.house.clients[front], bench.Ask{
		Method: "POST", Path: "/v1/events/" + string(s.eventOf(i)) + "/holds", Token: s.buyers[i].token, Key: key,
		Body: map[string]any{"lines": []onsale.Line{{Section: "floor", Quantity: 1}}},
	}, into)
}

// buyAll checks out, each at another front than the hold was granted by, and waits until all
// orders have their tickets.
func (s *storm) buyAll(ctx context.Context) error {
	before, err := s.house.counts(ctx)
	if err != nil {
		return err
	}
	if err := s.each(ctx, func(front, i int) error {
		front = (front + 1) % len(s.house.fronts)
		return insist(ctx, s.house.clients[front], bench.Ask{Method: "POST", Path: "/v1/holds/" + string(s.buyers[i].hold) + "/checkout",
			Token: s.buyers[i].token, Body: map[string]string{"payment_token": "tok_ok"}}, nil)
	}); err != nil {
		return err
	}
	return until(ctx, settledWithin, "every order has its tickets", func() (bool, error) {
		now, err := s.house.counts(ctx)
		return err == nil && total(now[countTicketed])-total(before[countTicketed]) >= float64(len(s.buyers)), err
	})
}

// readAll reads every order, which must have its tickets.
func (s *storm) readAll(ctx context.Context) error {
	return s.each(ctx, func(front, i int) error {
		var order onsale.Order
		id := s.buyers[i].hold.Order()
		err := s.house.clients[front].Send(bench.Ask{Method: "GET", Path: "/v1/orders/" + string(id), Token: s.buyers[i].token}, &order)
		if err == nil && order.State != onsale.OrderTicketed {
			s.ledger.broken(onsale.InvariantOrders, string(id), "was accepted and is %s", order.State)
		}
		return err
	})
}

// askInVain asks for what there is no more.
func (s *storm) askInVain(ctx context.Context) error {
	return s.each(ctx, func(front, i int) error {
		err := s.ask(ctx, front, i, "again", nil)
		if onsale.CodeOf(err) == onsale.CodeSoldOut {
			return nil
		}
		if err == nil {
			s.ledger.broken(onsale.InvariantHolds, string(s.eventOf(i)), "granted a hold when everything was sold")
		}
		return err
	})
}

// each does something for every buyer, several at a time, at the fronts in turn. It returns
// the first errors.
func (s *storm) each(ctx context.Context, do func(front, i int) error) error {
	errs := make([]error, abreast*len(s.house.fronts))
	var next atomic.Int64
	var all sync.WaitGroup
	for worker := range errs {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(s.buyers) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				// By pairs, since every other buyer comes for the same event.
				if errs[worker] = do(i/2%len(s.house.fronts), i); errs[worker] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// insist sends a request again as long as it is answered "too much at once".
func insist(ctx context.Context, client *bench.Client, ask bench.Ask, into any) (err error) {
	for range busyTries {
		err = client.Send(ask, into)
		switch onsale.CodeOf(err) {
		case onsale.CodeOverloaded, onsale.CodeRecovering, onsale.CodeUnavailable:
		default:
			return err
		}
		if !lifecycle.Pause(ctx, busyPause) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("asked %d times: %w", busyTries, err)
}
