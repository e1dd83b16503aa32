package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"onsale"
	"onsale/internal/leash"
)

// mockVersion is Stripe's own mock server, which knows their API's description by heart
// and keeps nothing: it says whether a request makes sense, and how answers look.
const mockVersion = "v0.203.0"

// mockPath builds the mock server once, into build/bin, and returns where it is.
func mockPath(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join("..", "..", "..", "build", "bin", "stripe-mock-"+mockVersion))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(bin, "stripe-mock")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/stripe/stripe-mock@"+mockVersion)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("build stripe-mock: %v\n%s", err, out)
	}
	return path
}

// startMock runs the mock server until the test ends, and returns its URL.
func startMock(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(mockPath(t), "-http-addr", address)
	ended, err := leash.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended                //nolint:errcheck // it was told to
	})
	deadline, poll := time.After(time.Minute), time.NewTicker(50*time.Millisecond)
	defer poll.Stop()
	for {
		if status, _ := ask(t, "http://"+address, recorded{method: http.MethodGet, path: "/v1/refunds"}); status == http.StatusOK {
			return "http://" + address
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("stripe-mock doesn't answer")
		}
	}
}

// ask sends a request as it was recorded; a status of 0 is no answer.
func ask(t *testing.T, base string, r recorded) (status int, body []byte) {
	t.Helper()
	target, form := base+r.path, r.form.Encode()
	if r.method == http.MethodGet {
		target, form = target+"?"+form, ""
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, target, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_1")
	if r.method != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestStripesOwnDescriptionKnowsEveryRequestAndAnswer(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	everything(t, p)

	mock := startMock(t)
	kinds := map[string]bool{}
	for _, r := range f.requests {
		status, body := ask(t, mock, r)
		if status != http.StatusOK {
			t.Errorf("%s %s %v: %d %s", r.method, r.path, r.form, status, body)
		}
		kinds[r.method+" "+r.path[strings.LastIndex(r.path, "/")+1:]] = true
		looksAsWeReadIt(t, r, body)
	}
	for _, kind := range []string{"POST payment_intents", "GET pi_1", "POST confirm", "POST capture", "POST cancel", "GET search", "GET refunds", "POST refunds"} {
		if !kinds[kind] {
			t.Errorf("nothing was asked as %s", kind)
		}
	}
	endpoint := url.Values{"url": {"https://example.com/v1/webhooks/payments"}, "enabled_events[]": slices.Concat(intentEvents, refundEvents)}
	if status, body := ask(t, mock, recorded{http.MethodPost, "/v1/webhook_endpoints", endpoint}); status != http.StatusOK {
		t.Errorf("it knows no such events: %d %s", status, body)
	}
	// And it does look.
	endpoint.Add("enabled_events[]", "refund.lost")
	if status, body := ask(t, mock, recorded{http.MethodPost, "/v1/webhook_endpoints", endpoint}); status != http.StatusBadRequest {
		t.Errorf("an event that is none: %d %s", status, body)
	}
	for _, wrong := range []url.Values{{"amont": {"5"}, "currency": {"eur"}}, {"amount": {"five"}, "currency": {"eur"}}} {
		if status, body := ask(t, mock, recorded{http.MethodPost, "/v1/payment_intents", wrong}); status != http.StatusBadRequest {
			t.Errorf("%v: %d %s", wrong, status, body)
		}
	}
}

// everything asks for all that a provider can do.
func everything(t *testing.T, p *Provider) {
	t.Helper()
	charged, token, aside, never := newCharge("pm_card_visa"), newCharge("ctoken_visa"), newCharge("pm_card_visa"), newCharge("pm_card_visa")
	type question = func(context.Context, onsale.Charge) (onsale.ChargeResult, error)
	var paid onsale.ChargeResult
	for _, step := range []struct {
		ask question
		c   onsale.Charge
	}{{p.Charge, charged}, {p.Charge, token}, {p.Authorise, aside}, {p.Capture, aside}, {p.Void, never}, {p.Charge, charged}} {
		r, err := step.ask(t.Context(), step.c)
		if err != nil {
			t.Fatal(err)
		}
		paid = r
	}
	old := charged
	old.At = old.At.Add(-2 * keyLife)
	_, _, lookErr := p.LookUp(t.Context(), old)
	back := onsale.Refund{ID: onsale.NewRefundID(), Order: charged.Order, Reference: paid.Reference, Amount: 100, Currency: "EUR", Reason: "operator"}
	_, refundErr := p.Refund(t.Context(), back)
	if _, err := p.Ledger(t.Context(), "gala"); err != nil || lookErr != nil || refundErr != nil {
		t.Fatal(err, lookErr, refundErr)
	}
}

// looksAsWeReadIt holds Stripe's own example of an answer to the fields that we read.
func looksAsWeReadIt(t *testing.T, r recorded, body []byte) {
	t.Helper()
	var err error
	var missing string
	switch {
	case strings.HasSuffix(r.path, "/search"):
		var pg page
		if err = json.Unmarshal(body, &pg); err == nil && len(pg.Data) > 0 {
			missing = pg.Data[0].unread()
		}
	case strings.HasPrefix(r.path, "/v1/payment_intents"):
		var i intent
		if err = json.Unmarshal(body, &i); err == nil {
			missing = i.unread()
		}
	case r.method == http.MethodPost:
		var back refund
		if err = json.Unmarshal(body, &back); err == nil && (back.ID == "" || back.Status == "" || back.Created == 0 || back.Metadata == nil) {
			missing = fmt.Sprintf("%+v", back)
		}
	}
	if err != nil || missing != "" {
		t.Errorf("%s %s: %v; not read: %s\n%s", r.method, r.path, err, missing, body)
	}
}

func (i *intent) unread() string {
	if i.ID == "" || i.Status == "" || i.Amount == 0 || i.Currency == "" || i.Created == 0 || i.Metadata == nil {
		return fmt.Sprintf("%+v", *i)
	}
	return ""
}
