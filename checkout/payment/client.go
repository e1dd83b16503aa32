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

// Client is a Provider that is asked over HTTP, in the words of wire.go. What it asks
// is in asking.go; here is how.
type Client struct {
	base       *url.URL
	answerTime time.Duration
	http       *http.Client
}

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
	return &Client{base: base, answerTime: cfg.AnswerTime, http: NewHTTPClient(cfg.Conns)}, nil
}

// NewHTTPClient returns a client for one provider, with so many connections at the most.
// How long an answer may take is its user's to bound.
func NewHTTPClient(conns int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
			TLSHandshakeTimeout: dialTime,
			MaxConnsPerHost:     conns,
			MaxIdleConns:        conns,
			MaxIdleConnsPerHost: conns,
			IdleConnTimeout:     idleConnTime,
			ForceAttemptHTTP2:   true,
		},
		// A provider has no reason to send a charge elsewhere; whoever does is not it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ask sends one request and reads its answer into out. Whatever is not a 200 with
// a body of the right form is an error. A key makes it a request that has an effect.
func (c *Client) ask(ctx context.Context, method string, u *url.URL, key string, body []byte, most int64, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	if key != "" {
		req.Header.Set(KeyHeader, key)
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

// refusal is an answer that is not a 200.
type refusal struct {
	Status int
	Problem
}

const codeNoProblem = "not_a_problem"

// newRefusal keeps the provider's problem if the body is one.
func newRefusal(status int, body []byte) *refusal {
	r := &refusal{Status: status}
	if json.Unmarshal(body, &r.Problem) != nil {
		r.Problem = Problem{Code: codeNoProblem}
	}
	return r
}

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("the provider answered %d %.40s %.200s", r.Status, r.Code, r.Detail)
}

// Unwrap implements errors.Unwrap.
func (r *refusal) Unwrap() error {
	if r.forGood() {
		return ErrRefused
	}
	return nil
}

// forGood reports whether the provider, and not something before it, says that the
// request itself can never work. A 401, 403 or 404 is about how we ask, which a person
// can mend; a 408, 409, 425 or 429 is about when.
func (r *refusal) forGood() bool {
	switch r.Status {
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return r.Code != "" && r.Code != codeNoProblem
	}
	return false
}
