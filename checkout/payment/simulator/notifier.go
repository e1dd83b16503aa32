package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"onsale"
	"onsale/checkout/payment"
	"onsale/internal/lifecycle"
)

// Bounds of the notifier. A notice is a courtesy: whoever misses one asks. So what
// doesn't fit is dropped, never waited for. (Nobody asks after a late payment: late.go.)
const (
	maxNotices    = 4096 // waiting for delivery
	notifiers     = 4    // deliveries at once
	noticeTries   = 5
	noticeTime    = 5 * time.Second // one delivery
	firstRedelive = 200 * time.Millisecond
	lastRedelive  = 5 * time.Second
	sayDropped    = time.Second // how often it is said how many were dropped
)

// notifier delivers definite outcomes as signed webhooks, in no order, at least once
// if the receiver answers at all. While the URL is empty it sends none.
type notifier struct {
	url     atomic.Pointer[string] // never nil
	secret  []byte
	log     *slog.Logger
	client  *http.Client
	notices chan payment.Webhook
	dropped atomic.Int64 // since it was last said
	group   lifecycle.Group
}

func newNotifier(url string, secret []byte, log *slog.Logger) *notifier {
	n := &notifier{
		secret: secret, log: log,
		client: &http.Client{
			Timeout:   noticeTime,
			Transport: &http.Transport{MaxConnsPerHost: notifiers, MaxIdleConnsPerHost: notifiers},
		},
		notices: make(chan payment.Webhook, maxNotices),
	}
	n.url.Store(&url)
	return n
}

func (n *notifier) start(ctx context.Context) {
	for range notifiers {
		n.group.Go(ctx, n.run)
	}
	n.group.Go(ctx, func(ctx context.Context) { lifecycle.Every(ctx, sayDropped, n.sayDropped) })
}

func (n *notifier) stop(ctx context.Context) error {
	err := n.group.Stop(ctx)
	n.client.CloseIdleConnections()
	return err
}

// send queues the notice of a charge's outcome.
func (n *notifier) send(r onsale.ChargeResult) { n.queue(noticeOf(r)) }

// noticeOf is what is told of an outcome.
func noticeOf(r onsale.ChargeResult) payment.Webhook {
	return payment.Webhook{
		// Made of the charge's own id, so that each repeat has the same.
		ID:    "ntc_" + strings.TrimPrefix(r.Reference, "chg_"),
		Order: r.Order, Outcome: r.Outcome, Reference: r.Reference,
		Amount: r.Amount, Currency: r.Currency, Reason: r.Reason, At: r.At,
	}
}

// sendRefund queues the notice of a refund that has failed.
func (n *notifier) sendRefund(id onsale.RefundID, order onsale.OrderID) {
	n.queue(payment.Webhook{ID: "ntc_" + string(id), Order: order, Refund: id, At: time.Now().UTC()})
}

// queue never blocks.
func (n *notifier) queue(notice payment.Webhook) {
	if *n.url.Load() == "" {
		return
	}
	select {
	case n.notices <- notice:
	default:
		n.dropped.Add(1)
	}
}

func (n *notifier) sayDropped(context.Context) {
	if dropped := n.dropped.Swap(0); dropped > 0 {
		n.log.Warn("webhooks dropped: too many wait for delivery", "webhooks", dropped)
	}
}

func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case notice := <-n.notices:
			n.deliver(ctx, notice)
		case <-ctx.Done():
			return
		}
	}
}

// deliver posts a notice until it is taken, a bounded number of times.
func (n *notifier) deliver(ctx context.Context, notice payment.Webhook) {
	body, err := json.Marshal(notice)
	if err != nil {
		n.log.Error("webhook not sent", "order", notice.Order, "error", err)
		return
	}
	pace := &backoff.ExponentialBackOff{
		InitialInterval: firstRedelive, MaxInterval: lastRedelive, Multiplier: 2, RandomizationFactor: 0.5,
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, n.post(ctx, body) },
		backoff.WithBackOff(pace), backoff.WithMaxTries(noticeTries))
	if err != nil && ctx.Err() == nil {
		n.log.Warn("webhook not taken", "order", notice.Order, "tries", noticeTries, "error", err)
	}
}

// post sends the body once, signed as of now.
func (n *notifier) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *n.url.Load(), bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(fmt.Errorf("webhook: %w", err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(payment.SignatureHeader, payment.SignWebhook(n.secret, body, time.Now()))
	resp, err := n.client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	// The connection can be used again only if the answer was read.
	_, _ = io.CopyN(io.Discard, resp.Body, maxBodyBytes)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("webhook: the receiver answered %d", resp.StatusCode)
	}
	return nil
}
