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
