package bench

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"onsale"
)

// api speaks Onsale's HTTP interface, as openapi.yaml has it, over connections that all share.
type api struct {
	conns *conns
	host  string // as requests name it
	m     *measured
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
	var secure *tls.Config
	if u.Scheme == "https" {
		secure = &tls.Config{ServerName: u.Hostname()}
	}
	return &api{conns: newConns(withPort(u), secure), host: u.Host, m: m}, nil
}

// close closes the connections that are in nobody's hands.
func (a *api) close() { a.conns.close() }

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
	body, err := r.json()
	if err != nil {
		return err
	}
	w, err := a.conns.take(time.Now().Add(requestTimeout + r.wait))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	w.out = appendAsk(w.out[:0], r.method, a.host, r.path, r.token, r.key, body)
	got, err := w.ask(w.out)
	if err != nil {
		a.conns.drop(w)
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	err = got.read(into)
	if got.last() {
		a.conns.drop(w)
	} else {
		a.conns.put(w)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

// json is the request's body.
func (r *request) json() ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	if text, ok := r.body.(json.RawMessage); ok {
		return text, nil
	}
	body, err := json.Marshal(r.body)
	if err != nil {
		return nil, fmt.Errorf("writing the body of %s %s: %w", r.method, r.path, err)
	}
	return body, nil
}

// read decodes a 2xx answer into the given value, if any, and a refusal into its error.
func (a *answer) read(into any) error {
	switch {
	case a.status < 200 || a.status > 299:
		return a.refusal()
	case into == nil:
		return nil
	}
	if err := parse(a.body, into); err != nil {
		return fmt.Errorf("the answer can't be read: %w", err)
	}
	return nil
}

// parse is json.Unmarshal into an empty value. One that can parse itself does, at a tenth of the cost.
func parse(text []byte, into any) error {
	if p, ok := into.(interface{ ParseJSON(text []byte) error }); ok {
		return p.ParseJSON(text)
	}
	return json.Unmarshal(text, into)
}

// refusal reads a problem+json answer. What isn't one is a defect of the server, and
// not an *onsale.Error.
func (a *answer) refusal() error {
	problem := new(onsale.Error)
	if err := problem.ParseJSON(a.body); err != nil || problem.Code == "" {
		return fmt.Errorf("status %d without a problem: %.100q", a.status, a.body)
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		after := a.number(retryAfter)
		if after < 0 {
			return fmt.Errorf("status %d (%s) without a Retry-After in seconds", a.status, problem.Code)
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
