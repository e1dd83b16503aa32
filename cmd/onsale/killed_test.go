package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

const (
	// witnessesAtOnce is how many buy at the same time.
	witnessesAtOnce = 8
	// enoughTold is how many purchases must have been accepted before the kill.
	enoughTold = 50
)

// witnesses are buyers who live in the test's process, and so outlive the one that
// is killed: what they were told is known here, whatever became of it there.
type witnesses struct {
	url, event string
	client     *http.Client

	mu   sync.Mutex
	told map[onsale.OrderID]string // under mu: the orders answered 202, with their buyers' tokens
}

func newWitnesses(t *testing.T, url, event string) *witnesses {
	t.Helper()
	w := &witnesses{url: url, event: event, told: map[onsale.OrderID]string{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: witnessesAtOnce}}}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// ask makes a request and returns its status; 0 if there was no answer.
func (w *witnesses) ask(ctx context.Context, method, path, token, body string, into any) int {
	request, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := w.client.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	if json.NewDecoder(response.Body).Decode(into) != nil {
		return 0
	}
	return response.StatusCode
}

// buy makes one purchase, and notes it if it is accepted. It reports whether the
// server still answers.
func (w *witnesses) buy(ctx context.Context) bool {
	var session struct{ Token string }
	var hold onsale.Hold
	var order onsale.Order
	if w.ask(ctx, "POST", "/v1/sessions", "", "", &session) != http.StatusCreated {
		return false
	}
	const line = `{"lines":[{"section":"floor","quantity":1}]}`
	if status := w.ask(ctx, "POST", "/v1/events/"+w.event+"/holds", session.Token, line, &hold); status != http.StatusCreated {
		return status != 0
	}
	switch w.ask(ctx, "POST", "/v1/holds/"+string(hold.ID)+"/checkout", session.Token, `{"payment_token":"tok_ok"}`, &order) {
	case 0:
		return false // whether it was accepted nobody was told
	case http.StatusAccepted:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told[order.ID] = session.Token
	}
	return true
}

// buyUntilEnd lets all of them buy, one purchase after the other, until the server is gone.
func (w *witnesses) buyUntilEnd(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	for range witnessesAtOnce {
		all.Go(func() {
			for ctx.Err() == nil && w.buy(ctx) {
			}
		})
	}
	return all.Wait
}

func (w *witnesses) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

func TestADemoKilledInMidStormLosesNoAcceptedOrderKafka(t *testing.T) {
	t.Parallel()
	args := append([]string{"demo", "--port", "0", "--data", storestest.Folder(t)}, kafkaFlags(t)...)
	demo := begin(t, append(args, "--storm", "600")...)
	url := demo.until(t, `^serving (http://\S+)`)[1]
	w := newWitnesses(t, url, demo.until(t, `this event .*/#/events/(\S+)`)[1])
	wait := w.buyUntilEnd(t.Context())
	demo.until(t, `^(storm|settling) .*sold [1-9]\d`)
	eventually(t, "enough purchases are accepted", func() bool { return w.count() >= enoughTold })
	if err := demo.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-demo.ended
	wait()

	again := begin(t, append(args, "--storm", "0")...)
	w.url = again.until(t, `^serving (http://\S+)`)[1]
	again.until(t, `orders: [1-9]\d* ticketed, \d+ declined, 0 rejected, \d+ refunded, 0 open`)
	again.until(t, `oversold 0, lost 0, double charges 0; every invariant holds`)
	again.until(t, `still serving`)
	for id, token := range w.told {
		var order onsale.Order
		if status := w.ask(t.Context(), "GET", "/v1/orders/"+string(id), token, "", &order); status != 200 || order.State != onsale.OrderTicketed {
			t.Errorf("%s was accepted before the kill; after it: %d, %q", id, status, order.State)
		}
	}
	t.Logf("%d purchases were accepted before the kill", len(w.told))
	again.interrupt(t)
}

// interrupt stops the command, which must end well.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d\n%s", code, p.rest())
	}
}

// rest is what an ended command printed since the last until.
func (p *process) rest() string {
	var text strings.Builder
	for line := range p.lines {
		fmt.Fprintln(&text, line)
	}
	return text.String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}
