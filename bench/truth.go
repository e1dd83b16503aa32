package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"onsale"
)

// The truth is found when the rush is over: the ledger of what buyers were told is
// held against what the server says now, to everyone who was told something. The
// server's own audit, of what it alone can see, is one witness among these. What is found out while the
// rush goes on: counts that can't be and feeds that go back (sight.go), holds that end early or late
// (expiry.go), limits that don't hold (bot.go). What was there and was refused is found in takings.go.
//
// Whether a queue is fair is not checked: Onsale has no waiting room. Its feed knows a "queue" frame, and
// nobody sends one.

const (
	// checkers is how many requests check the outcome at once.
	checkers = 32
	// expirySlack is how long after its deadline a hold may still be said to be held:
	// the deadline is by another clock.
	expirySlack = time.Second
	// longestAuditWait is the most the interface lets an audit wait, in seconds.
	longestAuditWait = 300
	// auditTime is how long an audit may take besides that.
	auditTime = 2 * time.Minute
)

// judge waits for what is still under way, checks every promise, and returns the
// audit with every violation in it. An error means that something couldn't be checked.
func (r *rush) judge(ctx context.Context) (*onsale.AuditReport, error) {
	r.leftover = new(onsale.FeedSnapshot)
	if err := r.availability(ctx, r.leftover); err != nil {
		return nil, err
	}
	r.enter(PhaseExpiring)
	if err := r.checkExpiry(ctx); err != nil {
		return nil, err
	}
	r.enter(PhaseAuditing)
	if r.cfg.Aftermath { // when all orders have ended, late payments may still be on their way
		if _, err := r.audit(ctx); err != nil {
			return nil, err
		}
		if err := r.awaitLate(ctx); err != nil {
			return nil, err
		}
	}
	audit, err := r.audit(ctx)
	if err != nil {
		return nil, err
	}
	orders, err := r.checkPromises(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.checkRefunds(ctx, orders); err != nil {
		return nil, err
	}
	if r.knowsAllTakings() {
		r.undersold = new(r.ledger.checkRefusals(r.layout, r.leftover))
	}
	oversold := r.ledger.checkAdmissions(r.layout, orders)
	lost := r.ledger.checkEnds(orders)
	if err := r.checkRepeats(ctx, orders); err != nil {
		return nil, err
	}
	if err := r.checkFeeds(ctx); err != nil {
		return nil, err
	}
	r.timeExpiry() // now that the workers, too, have handed on what they saw since the storm
	audit.Oversold, audit.LostOrders = max(audit.Oversold, oversold), max(audit.LostOrders, lost)
	audit.Violations = append(audit.Violations, r.ledger.found()...)
	return audit, nil
}

// knowsAllTakings reports whether nobody but the bench can have taken any of the stock, and
// the stock is the one that it was: what was laid anew is laid with care, and may refuse for a while.
// When it was taken and free again must be by this machine's clock.
func (r *rush) knowsAllTakings() bool {
	return (r.ours || r.cfg.Create != nil) && !r.cfg.Forgetful && !r.cfg.Remote && r.leftover.Epoch == r.epoch
}

// audit is the server's own, when the event is at rest.
func (r *rush) audit(ctx context.Context) (*onsale.AuditReport, error) {
	wait := min(int(r.cfg.ResultTimeout/time.Second), longestAuditWait)
	audit := new(onsale.AuditReport)
	err := r.buyer(-1).insist(ctx, request{
		method: "GET", token: r.cfg.AdminToken,
		path: "/v1/admin/events/" + string(r.layout.Event.ID) + "/audit?wait=" + strconv.Itoa(wait),
		wait: time.Duration(wait)*time.Second + auditTime,
	}, nil, audit)
	if err != nil {
		return nil, fmt.Errorf("auditing: %w", err)
	}
	return audit, nil
}

// each calls check with a patient client for each of n things, several at a time, and
// returns the first errors.
func (r *rush) each(ctx context.Context, n int, check func(ctx context.Context, client *buyer, i int) error) error {
	next := make(chan int)
	errs := make([]error, min(checkers, n))
	var wg sync.WaitGroup
	for c := range errs {
		wg.Go(func() {
			client := r.buyer(r.cfg.Users + c)
			for i := range next {
				if errs[c] != nil {
					continue // drain: one error is enough
				}
				client.due = time.Now()
				errs[c] = check(ctx, client, i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// checkExpiry waits for the deadlines of the holds that were let go, as far as they are
// near, and sees that none outlives its own (invariant 6). It counts the others: what
// becomes of them nobody has seen. When a deadline of another machine's clock is over, this one can't tell.
func (r *rush) checkExpiry(ctx context.Context) error {
	horizon := time.Now().Add(r.cfg.ExpiryWait)
	near := slices.DeleteFunc(slices.Clone(r.ledger.letGo), func(h letGo) bool { return r.cfg.Remote || h.expiresAt.After(horizon) })
	r.m.unseen.Store(int64(len(r.ledger.letGo) - len(near)))
	for _, h := range near {
		if !waitUntil(ctx, h.expiresAt.Add(expirySlack)) {
			return ctx.Err()
		}
	}
	return r.each(ctx, len(near), func(ctx context.Context, client *buyer, i int) error {
		h, now := near[i], new(onsale.Hold)
		err := client.insist(ctx, request{method: "GET", path: "/v1/holds/" + string(h.hold), token: h.token}, nil, now)
		switch code := onsale.CodeOf(err); {
		case code == onsale.CodeUnknownHold || code == onsale.CodeHoldEnded: // forgotten already
		case err != nil:
			return fmt.Errorf("looking at hold %s: %w", h.hold, err)
		case now.State != onsale.HoldExpired:
			r.ledger.violate(onsale.InvariantHolds, string(h.hold), "is %s after its deadline %s", now.State, h.expiresAt.Format(time.RFC3339Nano))
			return nil
		}
		r.m.expired.Add(1)
		return nil
	})
}

// checkPromises asks for the order of every checkout that was sent. Where there is
// none the state is "": fine if nobody was promised one.
func (r *rush) checkPromises(ctx context.Context) ([]onsale.Order, error) {
	orders := make([]onsale.Order, len(r.ledger.promises))
	err := r.each(ctx, len(orders), func(ctx context.Context, client *buyer, i int) error {
		p := r.ledger.promises[i]
		err := client.insist(ctx, request{method: "GET", path: "/v1/orders/" + string(p.order), token: p.token}, nil, &orders[i])
		if onsale.CodeOf(err) == onsale.CodeUnknownOrder {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking at order %s: %w", p.order, err)
		}
		return client.leaveOut(ctx, &orders[i], p.token)
	})
	return orders, err
}

// checkEnds counts the promised orders that didn't come to an end (invariant 4), those whose buyers were told nothing
// and which are there all the same among them, and sees that what a buyer was told is what is true. Orders are those of the promises, in
// their order.
func (l *ledger) checkEnds(orders []onsale.Order) (lost int64) {
	for i, p := range l.promises {
		o := &orders[i]
		switch {
		case o.State == "" && !p.accepted:
		case o.State == "":
			lost++
			l.violate(onsale.InvariantOrders, string(p.order), "was answered 202 and is not known")
		case !o.State.Final():
			lost++
			said := "its buyer was told nothing definite, and it"
			if p.accepted {
				said = "was answered 202 and"
			}
			l.violate(onsale.InvariantOrders, string(p.order), "%s is %s still", said, o.State)
		case p.paidLate && p.told == onsale.OrderDeclined && o.State == onsale.OrderTicketed:
		case p.told != "" && p.told != o.State && !p.told.CanBecome(o.State):
			l.violate(onsale.InvariantOrders, string(p.order), "its buyer was told that it is %s, and it is %s", p.told, o.State)
		}
	}
	return lost
}

// checkAdmissions counts the admissions that were sold twice among the orders that are
// ticketed: a seat of two orders, or more than a section has (invariant 2).
func (l *ledger) checkAdmissions(layout *onsale.Layout, orders []onsale.Order) (oversold int64) {
	owners, sold := map[string]onsale.OrderID{}, map[string]int64{}
	for i := range orders {
		o := &orders[i]
		if o.State != onsale.OrderTicketed {
			continue
		}
		for _, line := range o.Lines {
			sold[line.Section] += int64(line.Quantity)
			for _, seat := range line.Seats {
				name := line.Section + " " + seat
				if other, taken := owners[name]; taken {
					oversold++
					l.violate(onsale.InvariantClaims, name, "is sold to order %s and to order %s", other, o.ID)
				}
				owners[name] = o.ID
			}
		}
	}
	for _, s := range layout.Sections() {
		if beyond := sold[s.ID] - s.Capacity; beyond > 0 {
			oversold = max(oversold, beyond)
			l.violate(onsale.InvariantClaims, s.ID, "%d admissions sold of %d", sold[s.ID], s.Capacity)
		}
	}
	return oversold
}

// checkRepeats asks again for holds that were granted, under their keys: the answer is
// the same hold, whatever has become of it (invariant 5). Orders are those of the promises.
func (r *rush) checkRepeats(ctx context.Context, orders []onsale.Order) error {
	bought := map[onsale.HoldID]bool{}
	for i := range orders {
		bought[orders[i].Hold] = orders[i].State.HasClaim()
	}
	return r.each(ctx, len(r.ledger.repeats), func(ctx context.Context, client *buyer, i int) error {
		first, again := r.ledger.repeats[i], new(onsale.Hold)
		forgotten := r.forgot(first.hold) && !bought[first.hold]
		err := client.insist(ctx, first.request, nil, again)
		var refusal *onsale.Error
		switch {
		case err == nil && !(forgotten && differInEpoch(first.hold, again.ID)) && again.ID != first.hold:
			r.ledger.violate(onsale.InvariantKeys, string(first.hold), "its key, repeated, made %s", again.ID)
		case errors.As(err, &refusal) && !isBusy(refusal) && refusal.Code != onsale.CodeHoldEnded && !forgotten:
			r.ledger.violate(onsale.InvariantKeys, string(first.hold), "its key, repeated, is answered %s", refusal.Code)
		case err != nil && (refusal == nil || isBusy(refusal)):
			return fmt.Errorf("repeating the request for hold %s: %w", first.hold, err)
		}
		return nil
	})
}

// forgot reports whether Redis may have lost a hold, because its stock was laid anew since:
// then its key may hold again, under an id that differs in the epoch alone, or find that
// there is nothing left. What was bought is never lost.
func (r *rush) forgot(hold onsale.HoldID) bool {
	_, epoch, ok := hold.Parse()
	return r.cfg.Forgetful && ok && epoch < r.leftover.Epoch
}

func differInEpoch(first, again onsale.HoldID) bool {
	_, epoch, ok := again.Parse()
	return ok && first != again && first.In(epoch) == again
}

// found returns every violation, with a line for those beyond the bound.
func (l *ledger) found() []onsale.Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.violations)
	if l.unlisted > 0 {
		all = append(all, onsale.Violation{Subject: "the rush", Detail: fmt.Sprintf("%d more violations are not listed", l.unlisted)})
	}
	return all
}
