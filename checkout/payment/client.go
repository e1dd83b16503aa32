package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"onsale"
	"onsale/internal/bareurl"
)

// Bounds of a client. A provider that answers late, at length or not at all must
// cost no more than this.
const (
	// DefaultAnswerTime is how long one question may take, its answer read included.
	DefaultAnswerTime = 5 * time.Second
	// DefaultConns is how many connections a client opens to its provider: one for
	// each question that a Worker has under way.
	DefaultConns = DefaultParallel

	dialTime       = 2 * time.Second
	idleConnTime   = 90 * time.Second
	maxAnswerBytes = 64 << 10 // one charge
	maxLedgerBytes = 4 << 20  // one page of LedgerPageEntries
)

// ClientConfig says where the provider is and what it may cost.
type ClientConfig struct {
	URL        string        // base, as http://127.0.0.1:8090
	AnswerTime time.Duration // default DefaultAnswerTime
	Conns      int           // default DefaultConns
}

// Client is a Provider that is asked over HTTP.
type Client struct {
	base       *url.URL
	answerTime time.Duration
	http       *http.Client
}

var _ Provider = (*Client)(nil)

// NewClient returns a client. It connects when it is first used; an error means
// that the URL is none.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("payment provider %s: write its URL as http://HOST:PORT", bareurl.Of(cfg.URL))
	}
	if cfg.AnswerTime == 0 {
		cfg.AnswerTime = DefaultAnswerTime
	}
	if cfg.Conns == 0 {
		cfg.Conns = DefaultConns
	}
	return &Client{base: base, answerTime: cfg.AnswerTime, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
			TLSHandshakeTimeout: dialTime,
			MaxConnsPerHost:     cfg.Conns,
			MaxIdleConns:        cfg.Conns,
			MaxIdleConnsPerHost: cfg.Conns,
			IdleConnTimeout:     idleConnTime,
		},
		// A provider has no reason to send a charge elsewhere; whoever does is not it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Charge implements Provider.
func (c *Client) Charge(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error) {
	body, err := json.Marshal(ChargeRequest{
		Event: charge.Event, Amount: charge.Amount, Currency: charge.Currency, PaymentToken: charge.PaymentToken,
	})
	if err != nil {
		return onsale.ChargeResult{}, fmt.Errorf("charge %s: encode: %w", charge.Order, err)
	}
	var result onsale.ChargeResult
	if err := c.ask(ctx, http.MethodPost, c.base.JoinPath("v1/charges"), charge.Order, body, maxAnswerBytes, &result); err != nil {
		return onsale.ChargeResult{}, fmt.Errorf("charge %s: %w", charge.Order, err)
	}
	if err := definite(result, charge.Order); err != nil {
		return onsale.ChargeResult{}, fmt.Errorf("charge %s: %w", charge.Order, err)
	}
	return result, nil
}

// LookUp implements Provider.
func (c *Client) LookUp(ctx context.Context, order onsale.OrderID) (onsale.ChargeResult, bool, error) {
	var result onsale.ChargeResult
	err := c.ask(ctx, http.MethodGet, c.base.JoinPath("v1/charges", url.PathEscape(string(order))), "", nil, maxAnswerBytes, &result)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.Code == CodeUnknownCharge:
		return onsale.ChargeResult{}, false, nil
	case err == nil:
		err = definite(result, order)
	}
	if err != nil {
		return onsale.ChargeResult{}, false, fmt.Errorf("look up charge %s: %w", order, err)
	}
	return result, true, nil
}

// Ledger implements Provider.
func (c *Client) Ledger(ctx context.Context, event onsale.EventID) ([]onsale.LedgerEntry, error) {
	var all []onsale.LedgerEntry
	query := url.Values{"event": {string(event)}}
	for {
		u := c.base.JoinPath("v1/ledger")
		u.RawQuery = query.Encode()
		var page LedgerPage
		if err := c.ask(ctx, http.MethodGet, u, "", nil, maxLedgerBytes, &page); err != nil {
			return nil, fmt.Errorf("ledger of %s: %w", event, err)
		}
		all = append(all, page.Entries...)
		if page.Next == "" {
			return all, nil
		}
		if len(page.Entries) == 0 {
			return nil, fmt.Errorf("ledger of %s: an empty page that is not the last", event)
		}
		query.Set("cursor", page.Next)
	}
}

// ask sends one request and reads its answer into out. Whatever is not a 200 with
// a body of the right form is an error.
func (c *Client) ask(ctx context.Context, method string, u *url.URL, key onsale.OrderID, body []byte, most int64, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	if key != "" {
		req.Header.Set(KeyHeader, string(key))
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err // its text has the URL, and the URL may have a key
	}
	if err != nil {
		return fmt.Errorf("no answer from %s: %w", bareurl.Of(u.String()), err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case int64(len(answer)) > most:
		return fmt.Errorf("answer exceeds %d bytes", most)
	case resp.StatusCode != http.StatusOK:
		return newRefusal(resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// definite returns an error if an answer does not say for certain what became of
// the order.
func definite(r onsale.ChargeResult, order onsale.OrderID) error {
	switch {
	case r.Order != order:
		return fmt.Errorf("the answer is about order %.80q", r.Order)
	case r.Outcome != onsale.ChargeCaptured && r.Outcome != onsale.ChargeDeclined:
		return fmt.Errorf("the answer's outcome is %.40q", r.Outcome)
	case r.Outcome == onsale.ChargeCaptured && r.Reference == "":
		return errors.New("the answer says captured and has no reference")
	}
	return nil
}

// refusal is an answer that is not a 200.
type refusal struct {
	Status int
	Problem
}

// newRefusal keeps the provider's problem if the body is one.
func newRefusal(status int, body []byte) *refusal {
	r := &refusal{Status: status}
	if json.Unmarshal(body, &r.Problem) != nil {
		r.Problem = Problem{Code: "not_a_problem"}
	}
	return r
}

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("the provider answered %d %.40s %.200s", r.Status, r.Code, r.Detail)
}
