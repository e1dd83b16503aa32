package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"onsale"
)

// The headers of Standard Webhooks.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

const (
	// maxAnswer and maxAnswerHeader bound what is read of an answer, in bytes.
	maxAnswer       = 64 << 10
	maxAnswerHeader = 16 << 10
	// idleTime is how long a connection is kept for the next post.
	idleTime = 10 * time.Second
)

// message is what a webhook is posted: the news' type, when it was, and the order.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      told      `json:"data"`
}

// told is an order as a webhook hears of it.
type told struct {
	Order    onsale.OrderID    `json:"order"`
	Event    onsale.EventID    `json:"event"`
	Buyer    onsale.BuyerID    `json:"buyer"`
	State    onsale.OrderState `json:"state"`
	Reason   string            `json:"reason,omitempty"`
	Lines    []onsale.Line     `json:"lines"`
	Amount   int64             `json:"amount"` // minor units
	Currency string            `json:"currency"`
}

// poster posts to one webhook, over connections that are no other's.
type poster struct {
	keys    Keyring
	webhook onsale.Webhook // set by the dispatcher while nobody sends
	client  *http.Client
}

func newPoster(keys Keyring, loopback bool) *poster {
	dialer := &net.Dialer{Timeout: sendTimeout, Control: dialControl(loopback)}
	return &poster{keys: keys, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			MaxConnsPerHost: laneWidth, MaxIdleConnsPerHost: laneWidth, IdleConnTimeout: idleTime,
			MaxResponseHeaderBytes: maxAnswerHeader, DisableCompression: true,
		},
	}}
}

// send implements sender.
func (p *poster) send(ctx context.Context, d onsale.Delivery) error {
	// The same bytes in each attempt: all of it is of the delivery.
	body, err := json.Marshal(message{Type: d.Told.NewsType(), Timestamp: d.At.UTC(), Data: told{
		Order: d.Order, Event: d.Event, Buyer: d.Buyer, State: d.Told, Reason: d.Reason, Lines: d.Lines, Amount: d.Amount, Currency: d.Currency}})
	if err != nil {
		return &failure{text: "encode: " + err.Error(), final: true}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.webhook.URL, bytes.NewReader(body))
	if err != nil {
		return &failure{text: "the webhook's URL can't be used", down: true}
	}
	now := time.Now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Onsale-Webhooks/1")
	request.Header.Set(headerID, string(d.ID))
	request.Header.Set(headerTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(headerSignature, p.keys.sign(&p.webhook, d.ID, now, body))
	response, err := p.client.Do(request)
	if err != nil {
		return unanswered(err)
	}
	defer response.Body.Close()
	// The connection can be used again only if the answer was read.
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	return judgeAnswer(response)
}

// rest implements sender.
func (p *poster) rest() { p.client.CloseIdleConnections() }

// unanswered is why there was no answer, without the URL, whose path may be a secret.
func unanswered(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("cut short: %w", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{text: "no answer within " + sendTimeout.String(), down: true}
	}
	return &failure{text: err.Error(), down: true}
}

// judgeAnswer says what an answer's status means.
func judgeAnswer(response *http.Response) error {
	status := response.StatusCode
	f := &failure{text: fmt.Sprintf("answered %d", status)}
	switch {
	case status/100 == 2:
		return nil
	case status == http.StatusGone:
		f.text, f.gone = "answered 410 Gone", true
	case status == http.StatusTooManyRequests, status >= 500:
		f.down = true
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			f.after = min(time.Duration(min(seconds, int(maxAdvice/time.Second)))*time.Second, maxAdvice)
		}
	case status/100 == 3:
		f.text += ": redirects are not followed"
	}
	return f
}
