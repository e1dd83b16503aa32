package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onsale"
	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/persist"
)

// auditPoll is how often an audit looks whether the orders under way have ended.
const auditPoll = 200 * time.Millisecond

// Auditor checks the seven invariants of an event against Redis, Kafka, Postgres
// and the payment provider's ledger.
type Auditor struct {
	Store    *persist.Store
	Desk     *holds.Desk
	Broker   kafka.Broker
	Provider payment.Provider // nil: the ledger is not looked at
}

// Audit waits, at the most the given time, until no order is under way, and
// checks. What only holds at rest is checked if rest was reached, or if it should
// have been: after a wait, whatever is still open is a violation. Without a wait a
// busy event is checked for what always holds.
func (a *Auditor) Audit(ctx context.Context, id onsale.EventID, wait time.Duration) (*onsale.AuditReport, error) {
	l, err := a.Store.Layout(ctx, id)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(wait)
	for {
		in, err := a.look(ctx, l)
		if err != nil {
			return nil, err
		}
		if late := !time.Now().Before(deadline); in.Quiet || late {
			in.Quiet = in.Quiet || wait > 0
			if in.Dead, err = a.dead(ctx, id); err != nil {
				return nil, err
			}
			return a.Store.Audit(ctx, in)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("audit of %s: %w", id, ctx.Err())
		case <-time.After(auditPoll):
		}
	}
}

// look reads Redis, Kafka and the provider, and finds out whether the event is at
// rest: no record waits at any stage, no order is open, nothing is pinned, and
// Redis has not changed meanwhile.
func (a *Auditor) look(ctx context.Context, l *onsale.Layout) (persist.AuditInput, error) {
	in := persist.AuditInput{Event: l.Event.ID}
	view, err := a.Desk.Inspect(ctx, l)
	if err != nil && !errors.Is(err, holds.ErrAbsent) {
		return in, err
	}
	in.View = view
	lag, err := a.lag(ctx)
	if err != nil {
		return in, err
	}
	in.Unsettled = lag.purchases
	if a.Provider != nil {
		if in.Ledger, err = a.Provider.Ledger(ctx, l.Event.ID); err != nil {
			return in, fmt.Errorf("read the provider's ledger: %w", err)
		}
	}
	open, err := a.Store.OpenOrders(ctx, l.Event.ID)
	if err != nil || lag.all > 0 || open > 0 || view == nil {
		return in, err
	}
	for _, c := range view.Stock.Counts {
		if c.Pinned > 0 {
			return in, nil
		}
	}
	after, err := a.Desk.Stock(ctx, l)
	if err != nil {
		return in, err
	}
	in.Quiet = after.Epoch == view.Stock.Epoch && after.Seq == view.Stock.Seq
	return in, nil
}

// dead returns the dead letters of the event, of every stage that takes an order
// towards its end.
func (a *Auditor) dead(ctx context.Context, id onsale.EventID) (dead []persist.DeadLetter, err error) {
	for _, topic := range []string{onsale.TopicPurchases, onsale.TopicCharges, onsale.TopicResults} {
		records, err := kafka.DeadLetters(ctx, a.Broker, topic)
		if err != nil {
			return nil, fmt.Errorf("read the dead letters of %s: %w", topic, err)
		}
		for _, r := range records {
			order, event := buried(topic, r)
			if event != id {
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
	purchase, err := kafka.Decode[struct {
		Order onsale.OrderID `json:"order"`
	}](r)
	if err != nil {
		purchase.Order = ""
	}
	return purchase.Order, onsale.EventID(r.Key)
}

// backlog is how many records the stages have still to handle, of all events.
type backlog struct{ purchases, all int64 }

func (a *Auditor) lag(ctx context.Context) (b backlog, err error) {
	for _, stage := range []struct{ group, topic string }{
		{persist.GroupClaim, onsale.TopicPurchases},
		{payment.WorkerGroup, onsale.TopicCharges},
		{persist.GroupFinalise, onsale.TopicResults},
		{checkout.ConfirmerGroup, onsale.TopicOrders},
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
