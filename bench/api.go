package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
)

// The bounds of the HTTP client that all buyers share. A buyer who finds every
// connection busy waits for one, and the wait counts as the server's latency.
const (
	maxHTTPConns   = 512
	dialTimeout    = 5 * time.Second
	requestTimeout = 15 * time.Second
	idleTimeout    = 5 * time.Second
	maxAnswerBytes = 4 << 20
)

// api speaks Onsale's HTTP interface, as openapi.yaml has it, over a pool of connections.
type api struct {
	client *fasthttp.HostClient
	base   string // scheme://host:port
	m      *measured
}

// request is one HTTP request before it is sent.
type request struct {
	method, path string
	token        string        // the bearer's; "" for none
	key          string        // the Idempotency-Key; "" for none
	body         any           // sent as JSON; nil for none
	wait         time.Duration // how long the server was asked to take, on top of requestTimeout
}

// newAPI returns a client of a checked base URL. It dials nothing yet.
func newAPI(target string, m *measured) (*api, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("reading the target's URL: %w", err)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	return &api{
		base: u.Scheme + "://" + u.Host,
		m:    m,
		client: &fasthttp.HostClient{
			Addr:                      withPort(u),
			IsTLS:                     u.Scheme == "https",
			Name:                      "onsale-bench",
			MaxConns:                  maxHTTPConns,
			MaxConnWaitTimeout:        requestTimeout,
			MaxIdleConnDuration:       idleTimeout,
			MaxResponseBodySize:       maxAnswerBytes,
			MaxIdemponentCallAttempts: 1, // repeats are the buyers' own decision, and counted
			DialTimeout: func(addr string, _ time.Duration) (net.Conn, error) {
				return dialer.DialContext(context.Background(), "tcp", addr)
			},
		},
	}, nil
}

// close closes the connections that are in nobody's hands.
func (a *api) close() { a.client.CloseIdleConnections() }

// send sends a request once and decodes a 2xx answer into the given value. A refusal
// comes back as an *onsale.Error, with its RetryAfter. Any other error means that
// there was no answer, so nobody knows what was done, or one that isn't in the contract.
func (a *api) send(r request, into any) error {
	a.m.requests.Add(1)
	err := a.exchange(r, into)
	a.m.noteAnswer(err)
	return err
}

func (a *api) exchange(r request, into any) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	if err := a.write(r, req); err != nil {
		return err
	}
	if err := a.client.DoTimeout(req, resp, requestTimeout+r.wait); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if status := resp.StatusCode(); status < 200 || status > 299 {
		return fmt.Errorf("%s %s: %w", r.method, r.path, refusal(status, resp))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(resp.Body(), into); err != nil {
		return fmt.Errorf("%s %s: the answer can't be read: %w", r.method, r.path, err)
	}
	return nil
}

// write fills in what is to be sent.
func (a *api) write(r request, req *fasthttp.Request) error {
	req.SetRequestURI(a.base + r.path)
	req.Header.SetMethod(r.method)
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if r.body != nil {
		body, err := json.Marshal(r.body)
		if err != nil {
			return fmt.Errorf("writing the body of %s %s: %w", r.method, r.path, err)
		}
		req.Header.SetContentType("application/json")
		req.SetBody(body)
	}
	return nil
}

// refusal reads a problem+json answer. What isn't one is a defect of the server, and
// not an *onsale.Error.
func refusal(status int, resp *fasthttp.Response) error {
	problem := new(onsale.Error)
	if err := json.Unmarshal(resp.Body(), problem); err != nil || problem.Code == "" {
		return fmt.Errorf("status %d without a problem: %.100q", status, resp.Body())
	}
	if status == fasthttp.StatusTooManyRequests || status == fasthttp.StatusServiceUnavailable {
		after, err := strconv.Atoi(string(resp.Header.Peek("Retry-After")))
		if err != nil || after < 0 {
			return fmt.Errorf("status %d (%s) without a Retry-After in seconds", status, problem.Code)
		}
		problem.RetryAfter = time.Duration(after) * time.Second
	}
	return problem
}

// isBusy reports whether a refusal asks to come back later: the request wasn't done.
func isBusy(refusal *onsale.Error) bool {
	switch refusal.Code {
	case onsale.CodeOverloaded, onsale.CodeRecovering, onsale.CodeUnavailable:
		return true
	}
	return refusal.RetryAfter > 0
}

// isPutOff reports whether what came of a request is that it wasn't done, and that it may be later.
func isPutOff(err error) bool {
	var refusal *onsale.Error
	return errors.As(err, &refusal) && isBusy(refusal)
}

// withPort is the host and port of a URL, with the scheme's port if it names none.
func withPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}
