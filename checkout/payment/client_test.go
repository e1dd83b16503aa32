package payment_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
	"onsale/checkout/payment/simulator"
	"onsale/internal/stores/storestest"
)

const gala = onsale.EventID("gala")

func TestMain(m *testing.M) { storestest.Main(m) }

func newCharge(token string) onsale.Charge {
	return onsale.Charge{
		Order: onsale.NewHoldID(gala, 1).Order(), Event: gala,
		Amount: 4200, Currency: "EUR", PaymentToken: token, At: time.Now().UTC(),
	}
}

func startSimulator(t *testing.T, cfg simulator.Config) *simulator.Simulator {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	s, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s.Stop) })
	return s
}

func stop(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

func newClient(t *testing.T, url string, answerTime time.Duration) *payment.Client {
	t.Helper()
	c, err := payment.NewClient(payment.ClientConfig{URL: url, AnswerTime: answerTime})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEachMisbehaviourIsUnknownOrTrueAndChargesOnce(t *testing.T) {
	c := newClient(t, startSimulator(t, simulator.Config{}).URL(), 300*time.Millisecond)
	for _, want := range []struct {
		token    string
		first    bool // the first question is answered
		onRecord bool // after the first question the provider has it
		outcome  onsale.ChargeOutcome
		captures int
	}{
		{"tok_ok", true, true, onsale.ChargeCaptured, 1},
		{"tok_decline", true, true, onsale.ChargeDeclined, 0},
		{"tok_delay_50", true, true, onsale.ChargeCaptured, 1},
		{"tok_delay_700", false, false, onsale.ChargeCaptured, 1},
		{"tok_timeout", false, true, onsale.ChargeCaptured, 1},
		{"tok_twice", true, true, onsale.ChargeCaptured, 1},
		{"tok_error", false, false, onsale.ChargeCaptured, 1},
		{"tok_broken", false, true, onsale.ChargeCaptured, 1},
	} {
		t.Run(want.token, func(t *testing.T) {
			charge := newCharge(want.token)
			r, err := c.Charge(t.Context(), charge)
			if (err == nil) != want.first {
				t.Errorf("first answer %+v, %v", r, err)
			}
			_, found, err := c.LookUp(t.Context(), charge)
			if err != nil || found != want.onRecord {
				t.Errorf("found %t, %v; want %t", found, err, want.onRecord)
			}
			for range 10 {
				if r, err = c.Charge(t.Context(), charge); err == nil {
					break
				}
			}
			if err != nil || r.Outcome != want.outcome || r.Order != charge.Order || r.Amount != charge.Amount {
				t.Fatalf("in the end %+v, %v; want %s", r, err, want.outcome)
			}
			looked, found, err := c.LookUp(t.Context(), charge)
			if err != nil || !found || looked != r {
				t.Errorf("looked up %+v, %t, %v; was answered %+v", looked, found, err, r)
			}
			if e := ledgerOf(t, c)[charge.Order]; e.Captures != want.captures || e.Outcome != want.outcome || e.Reference != r.Reference {
				t.Errorf("ledger %+v, want %d captures", e, want.captures)
			}
		})
	}
}

func ledgerOf(t *testing.T, c *payment.Client) map[onsale.OrderID]onsale.LedgerEntry {
	t.Helper()
	entries, err := c.Ledger(t.Context(), gala)
	if err != nil {
		t.Fatal(err)
	}
	byOrder := map[onsale.OrderID]onsale.LedgerEntry{}
	for _, e := range entries {
		byOrder[e.Order] = e
	}
	return byOrder
}

func TestAnswerThatIsNotDefiniteIsUnknown(t *testing.T) {
	charge := newCharge("tok_ok")
	definite := `{"order":"` + string(charge.Order) + `","event":"gala","outcome":"captured","reference":"chg_1","amount":4200,"currency":"EUR","at":"2027-06-05T20:00:00Z"}`
	hang := make(chan struct{})
	for name, serve := range map[string]http.HandlerFunc{
		"not JSON":        say(http.StatusOK, "captured"),
		"empty":           say(http.StatusOK, ""),
		"nothing said":    say(http.StatusOK, "{}"),
		"another order":   say(http.StatusOK, strings.Replace(definite, string(charge.Order), string(newCharge("").Order), 1)),
		"not decided":     say(http.StatusOK, strings.Replace(definite, "captured", "pending", 1)),
		"no reference":    say(http.StatusOK, strings.Replace(definite, "chg_1", "", 1)),
		"no amount":       say(http.StatusOK, strings.Replace(definite, `"amount":4200,`, "", 1)),
		"no currency":     say(http.StatusOK, strings.Replace(definite, `"currency":"EUR",`, "", 1)),
		"endless":         say(http.StatusOK, `{"reason":"`+strings.Repeat("x", 1<<20)),
		"202":             say(http.StatusAccepted, definite),
		"500 in disguise": say(http.StatusInternalServerError, definite),
		"a proxy's 404":   say(http.StatusNotFound, "<html>no such page"),
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				say(http.StatusOK, definite)(w, r)
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(definite))
			panic(http.ErrAbortHandler)
		},
		"never": func(http.ResponseWriter, *http.Request) { <-hang },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(serve)
			c := newClient(t, server.URL, 200*time.Millisecond)
			if r, err := c.Charge(t.Context(), charge); err == nil || r != (onsale.ChargeResult{}) {
				t.Errorf("charged: %+v, %v", r, err)
			}
			if r, found, err := c.LookUp(t.Context(), charge); err == nil || found {
				t.Errorf("looked up: %+v, %t, %v", r, found, err)
			}
			if name == "never" {
				close(hang)
			}
			server.Close()
		})
	}

	server := httptest.NewServer(say(http.StatusOK, definite)) // the table above differs from this one
	defer server.Close()
	if _, err := newClient(t, server.URL, 0).Charge(t.Context(), charge); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheProvidersOwnWordThatItCanNeverBeIsARefusal(t *testing.T) {
	const problem = `{"code":"bad_request","detail":"no such token"}`
	for name, c := range map[string]struct {
		status  int
		body    string
		refused bool
	}{
		"400": {400, problem, true}, "402": {402, problem, true}, "410": {410, problem, true}, "413": {413, problem, true}, "422": {422, problem, true},
		"401: our credentials": {401, problem, false}, "403": {403, problem, false}, "404: our URL": {404, problem, false}, "405": {405, problem, false},
		"408": {408, problem, false}, "409: the same is under way": {409, problem, false}, "425": {425, problem, false}, "429": {429, problem, false},
		"500": {500, problem, false}, "503": {503, problem, false}, "a 400 of something before it": {400, "<html>", false}, "a 400 without a word": {400, "{}", false},
	} {
		server := httptest.NewServer(say(c.status, c.body))
		client := newClient(t, server.URL, 0)
		for _, ask := range []func(context.Context, onsale.Charge) (onsale.ChargeResult, error){client.Charge, client.Authorise, client.Capture, client.Void} {
			if _, err := ask(t.Context(), newCharge("tok_ok")); err == nil || errors.Is(err, payment.ErrRefused) != c.refused {
				t.Errorf("%s: %v", name, err)
			}
		}
		server.Close()
	}
}

func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestProviderThatNobodyCanAskIsNamed(t *testing.T) {
	for _, url := range []string{"", "localhost:8090", "127.0.0.1", "ftp://127.0.0.1", "http://", "http://[::1"} {
		if _, err := payment.NewClient(payment.ClientConfig{URL: url}); err == nil || !strings.Contains(err.Error(), "http://HOST:PORT") {
			t.Errorf("%q: %v", url, err)
		}
	}
	c := newClient(t, "http://127.0.0.1:1", 0)
	if _, err := c.Charge(t.Context(), newCharge("tok_ok")); err == nil {
		t.Error("charged by nobody")
	}
}
