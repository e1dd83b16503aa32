package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onsale"
	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/persist"
)

const (
	// auditPoll is how often an audit looks whether the orders under way have ended.
	auditPoll = 200 * time.Millisecond
	// auditRetry is the advice to who asked for an audit while there was no stock.
	auditRetry = time.Second
)

// Auditor checks the seven invariants of an event against Redis, Kafka, Postgres,
// the payment provider's ledger and this process's own feed.
type Auditor struct {
	Store    *persist.Store
	Desk     *holds.Desk
	Broker   kafka.Broker
	Provider payment.Provider // nil: the ledger is not looked at
	Mirrors  *holds.Mirrors   // nil: the feed is not looked at
}

// Audit waits, at the most the given time, until the event is at rest, and checks.
// What only holds at rest is checked if rest was reached, or if it should have been:
// after a wait, whatever is still open is a violation. Without a wait a busy event is
// checked for what always holds, and the report says what was not.
//
// Stock that is lost or being laid anew is waited for too. If that took longer, and
// nothing else is found, the error is recovering.
func (a *Auditor) Audit(ctx context.Context, id onsale.EventID, wait time.Duration) (*onsale.AuditReport, error) {
	l, err := a.Store.Layout(ctx, id)
	if err != nil {
		return nil, err
	}
	tape, stop, err := a.follow(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("audit of %s: follow its feed: %w", id, err)
	}
	defer stop()
	deadline := time.Now().Add(wait)
	for {
		tape.rewind()
		in, err := a.look(ctx, l)
		late := !time.Now().Before(deadline)
		if err != nil && late {
			return nil, err
		}
		if err == nil && (in.AtRest || late) {
			in.Overdue = wait > 0
			return a.conclude(ctx, l, tape, in)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("audit of %s: %w", id, ctx.Err())
		case <-time.After(auditPoll):
		}
	}
}

// conclude looks at the rest, and judges.
func (a *Auditor) conclude(ctx context.Context, l *onsale.Layout, tape *tape, in persist.AuditInput) (report *onsale.AuditReport, err error) {
	if in.View != nil && l.Event.Striped() && !in.AtRest {
		in.NoFeed = "a striped event's feed and Redis pass through different stocks: they can be compared at rest alone"
	} else if in.View != nil {
		in.Feed, in.NoFeed = tape.brought(ctx, l, &in.View.Stock)
	}
	if in.Dead, err = a.dead(ctx, in.Event); err != nil {
		return nil, err
	}
	if report, err = a.Store.Audit(ctx, in); err != nil {
		return nil, err
	}
	if in.View == nil && in.Overdue && report.OK() {
		return nil, onsale.Busy(onsale.CodeRecovering, fmt.Sprintf("the audit of %s waited in vain for its stock: %s", in.Event, in.NoView), auditRetry, nil)
	}
	return report, nil
}

// look reads Redis, Kafka and the provider, and finds out whether the event is at
// rest: no record waits at any stage, no order or refund is open, nothing is pinned, owed or on its way between stripes, the
// sale is what Postgres says, and Redis has not changed meanwhile.
func (a *Auditor) look(ctx context.Context, l *onsale.Layout) (in persist.AuditInput, err error) {
	in.Event = l.Event.ID
	view, err := a.Desk.Inspect(ctx, l)
	if err != nil && !errors.Is(err, holds.ErrAbsent) {
		return in, err
	}
	lag, err := a.lag(ctx)
	if err != nil {
		return in, err
	}
	in.Unsettled = lag.purchases
	if a.Provider != nil {
		if in.Ledger, err = a.Provider.Ledger(ctx, in.Event); err != nil {
			return in, fmt.Errorf("read the provider's ledger: %w", err)
		}
		if in.Ledger == nil {
			in.Ledger = []onsale.LedgerEntry{} // it is known, and it is empty
		}
	}
	open, err := a.Store.OpenOrders(ctx, in.Event)
	if err != nil {
		return in, err
	}
	refunds, err := a.Store.OpenRefunds(ctx, in.Event)
	if err != nil {
		return in, err
	}
	event, err := a.Store.Event(ctx, in.Event)
	if err != nil {
		return in, err
	}
	now, err := a.Desk.Condition(ctx, in.Event)
	if err != nil {
		return in, err
	}
	if in.NoView = amiss(view, now); in.NoView == "" {
		in.View = view
		in.AtRest = lag.all == 0 && open == 0 && refunds == 0 && !underWay(view) && view.Stock.Sale == event.Sale && view.Stock.Seq == now.Seq
	}
	return in, nil
}

// amiss says why a view of an event's stock can't be judged, given what the stock was
// like afterwards; "" if it can.
func amiss(view *onsale.HoldsView, now holds.Condition) string {
	switch {
	case view == nil || now.Absent:
		return "Redis has no stock of the event"
	case view.Stock.Sale == onsale.SaleRecovering || now.Sale == onsale.SaleRecovering:
		return "its stock in Redis is being laid anew"
	case view.Stock.Epoch != now.Epoch:
		return "its stock in Redis was laid anew meanwhile"
	case !now.SameRun:
		return "its stock is of an earlier run of Redis, and not trusted until it is laid anew"
	}
	return ""
}

// underWay reports whether Redis waits to be told of an order's end, or owes for one,
// or whether stock is on its way from one stripe to another.
func underWay(view *onsale.HoldsView) bool {
	return slices.ContainsFunc(view.Shared, func(s onsale.SharedSection) bool { return s.UnderWay != 0 }) ||
		slices.ContainsFunc(view.Stock.Counts, func(c onsale.Counts) bool { return c.Pinned > 0 }) ||
		slices.ContainsFunc(view.Holds, func(h onsale.HeldRecord) bool { return h.Owed })
}

// dead returns the dead letters of the event, of every stage that takes an order
// towards its end. What was lost unread may have been any event's, and so is each one's.
func (a *Auditor) dead(ctx context.Context, id onsale.EventID) (dead []persist.DeadLetter, err error) {
	for _, topic := range []string{onsale.TopicPurchases, onsale.TopicCharges, onsale.TopicResults} {
		for r, err := range kafka.DeadLetters(ctx, a.Broker, topic) {
			if err != nil {
				return nil, fmt.Errorf("read the dead letters of %s: %w", topic, err)
			}
			order, event := buried(topic, r)
			if event != id && !kafka.TellsOfLoss(r) {
				continue
			}
			reason, origin := kafka.Reason(r)
			dead = append(dead, persist.DeadLetter{Order: order, Topic: topic, Origin: origin, Reason: reason, At: r.Timestamp})
		}
	}
	return dead, nil
}

// buried returns whose order a dead letter is. Its key tells even if its value is
// what could not be read; but a purchase's key is the event, so its order is then "".
func buried(topic string, r kafka.Record) (onsale.OrderID, onsale.EventID) {
	if topic != onsale.TopicPurchases {
		order := onsale.OrderID(r.Key)
		event, _, _ := order.Parse()
		return order, event
	}
	event := onsale.EventID(r.Key)
	purchase, err := kafka.Decode[onsale.Purchase](r)
	if err != nil {
		return "", event
	}
	return purchase.Order, event
}

// backlog is how many records the stages have still to handle, of all events.
type backlog struct{ purchases, all int64 }

func (a *Auditor) lag(ctx context.Context) (b backlog, err error) {
	for _, stage := range []struct{ group, topic string }{
		{persist.GroupClaim, onsale.TopicPurchases},
		{payment.WorkerGroup, onsale.TopicCharges},
		{persist.GroupFinalise, onsale.TopicResults},
		{checkout.ConfirmerGroup, onsale.TopicOrders},
		{checkout.LateGroup, onsale.TopicLateNews},
	} {
		lag, err := kafka.Lag(ctx, a.Broker, stage.group, stage.topic)
		if err != nil {
			return b, err
		}
		if stage.topic == onsale.TopicPurchases {
			b.purchases = lag
		}
		b.all += lag
	}
	return b, nil
}
