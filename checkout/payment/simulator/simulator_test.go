package simulator

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onsale"
	"onsale/checkout/payment"
)

const gala = onsale.EventID("gala")

// childLedger, if set, makes this binary a simulator with that ledger, for a test to kill.
const childLedger = "ONSALE_TEST_SIMULATOR_LEDGER"

func TestMain(m *testing.M) {
	if path := os.Getenv(childLedger); path != "" {
		if err := beChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// beChild serves until standard input ends, which it does if the test dies.
func beChild(path string) error {
	s, err := New(Config{Ledger: path})
	if err != nil {
		return err
	}
	if err := s.Start(context.Background()); err != nil {
		return err
	}
	fmt.Println(s.URL())
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}

// start runs a simulator until the test ends.
func start(t *testing.T, cfg Config) *Simulator {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Simulator) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func client(t *testing.T, url string, answerTime time.Duration) *payment.Client {
	t.Helper()
	c, err := payment.NewClient(payment.ClientConfig{URL: url, AnswerTime: answerTime})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newCharge(token string) onsale.Charge {
	return onsale.Charge{
		Order: onsale.NewHoldID(gala, 1).Order(), Event: gala,
		Amount: 4200, Currency: "EUR", PaymentToken: token, At: time.Now(),
	}
}

// ledgerOf returns the ledger of the event by order.
func ledgerOf(t *testing.T, c *payment.Client) map[onsale.OrderID]onsale.LedgerEntry {
	t.Helper()
	entries, err := c.Ledger(t.Context(), gala)
	if err != nil {
		t.Fatal(err)
	}
	byOrder := map[onsale.OrderID]onsale.LedgerEntry{}
	for _, e := range entries {
		if _, twice := byOrder[e.Order]; twice {
			t.Errorf("the ledger lists %s twice", e.Order)
		}
		byOrder[e.Order] = e
	}
	return byOrder
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func TestKilledSimulatorForgetsNothingThatItAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "ledger.jsonl")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childLedger+"="+path)
	child.Stderr = os.Stderr
	stdin, err1 := child.StdinPipe()
	stdout, err2 := child.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	defer stdin.Close()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	before := client(t, strings.TrimSpace(url), 300*time.Millisecond)

	answers := map[onsale.OrderID]onsale.ChargeResult{}
	var charges []onsale.Charge
	for i := range 40 {
		c := newCharge([]string{"tok_ok", "tok_decline"}[i%2])
		r, err := before.Charge(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		charges, answers[c.Order] = append(charges, c), r
	}
	silent := newCharge("tok_timeout") // charged, and nobody was told
	if _, err := before.Charge(t.Context(), silent); err == nil {
		t.Fatal("tok_timeout was answered")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}

	after := client(t, start(t, Config{Ledger: path}).URL(), 0)
	for _, c := range charges {
		r, err := after.Charge(t.Context(), c)
		if err != nil || r != answers[c.Order] {
			t.Errorf("after the kill %+v, %v; before it %+v", r, err, answers[c.Order])
		}
	}
	if r, err := after.Charge(t.Context(), silent); err != nil || r.Outcome != onsale.ChargeCaptured {
		t.Errorf("the unanswered charge: %+v, %v", r, err)
	}
	ledger := ledgerOf(t, after)
	if len(ledger) != len(charges)+1 || ledger[silent.Order].Captures != 1 {
		t.Errorf("%d entries, the unanswered charge %+v", len(ledger), ledger[silent.Order])
	}
}

func TestStopNeitherWaitsForDelaysNorCharges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	s := start(t, Config{Ledger: path})
	slow, done := newCharge("tok_delay_60000"), make(chan error, 1)
	c := client(t, s.URL(), time.Minute)
	go func() {
		_, err := c.Charge(context.Background(), slow)
		done <- err
	}()
	eventually(t, "the charge is under way", func() bool { return len(s.requests) == 1 })
	stop(t, s)
	stop(t, s) // twice is fine
	if err := <-done; err == nil {
		t.Error("a charge was answered while the provider stopped in its delay")
	}
	if content, err := os.ReadFile(path); err != nil || len(content) > 0 {
		t.Errorf("ledger %q, %v", content, err)
	}
}

func TestStartSaysWhatIsInTheWay(t *testing.T) {
	first := start(t, Config{})
	second, err := New(Config{Listen: strings.TrimPrefix(first.URL(), "http://")})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("on a used port: %v", err)
	}
	stop(t, second)
}

func TestTooManyRequestsAreTurnedAway(t *testing.T) {
	s := start(t, Config{})
	for range maxRequests {
		s.requests <- struct{}{}
	}
	status, _ := do(t, http.MethodGet, s.URL()+"/livez", "", "")
	for range maxRequests {
		<-s.requests
	}
	if status != http.StatusServiceUnavailable {
		t.Errorf("the request too many was answered %d", status)
	}
	if status, _ := do(t, http.MethodGet, s.URL()+"/livez", "", ""); status != http.StatusNoContent {
		t.Errorf("livez: %d", status)
	}
}

// do sends a bare request, for what Client would never send.
func do(t *testing.T, method, url, key, body string) (status int, p payment.Problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set(payment.KeyHeader, key)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			t.Errorf("%s %s answered %d without a problem: %v", method, url, resp.StatusCode, err)
		}
	}
	return resp.StatusCode, p
}
