package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"onsale"
	"onsale/internal/stores/storestest"
)

// hook is an operator's server that checks and keeps what it is posted.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	secret string              // under mu
	bad    []error             // under mu: what did not verify
	got    map[string][]string // under mu: bodies by webhook-id
}

func newHook(t *testing.T) *hook {
	t.Helper()
	k := &hook{got: map[string][]string{}}
	k.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		if err == nil {
			var v *standardwebhooks.Webhook
			if v, err = standardwebhooks.NewWebhook(k.secret); err == nil {
				err = v.Verify(body, r.Header)
			}
		}
		if err != nil {
			k.bad = append(k.bad, err)
		}
		id := r.Header.Get("webhook-id")
		k.got[id] = append(k.got[id], string(body))
	}))
	t.Cleanup(k.Close)
	return k
}

// posts are how often the one message came; 0 if another came too.
func (k *hook) posts() (id, body string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, bodies := range k.got {
		if len(k.got) == 1 {
			return id, bodies[0], len(bodies)
		}
	}
	return "", "", 0
}

func TestARoleOfItsOwnTellsAWebhookAndAnOperatorReplaysIt(t *testing.T) {
	t.Parallel()
	stores := begin(t, append([]string{"stores", "--data", storestest.Folder(t)}, kafkaFlags(t)...)...)
	env := map[string]string{}
	for len(env) < 8 {
		m := stores.until(t, `^export (ONSALE_[A-Z_]+)='(.*)'$`)
		env[m[1]] = m[2]
	}
	with := func(args ...string) []string {
		return append(args, "--redis", env["ONSALE_REDIS"], "--postgres", env["ONSALE_POSTGRES"], "--kafka", env["ONSALE_KAFKA"], "--kafka-prefix", env["ONSALE_KAFKA_PREFIX"],
			"--payments", env["ONSALE_PAYMENTS"], "--secret", env["ONSALE_SECRET"], "--listen", "127.0.0.1:0")
	}
	const served = `url=(http://\S+)`
	begin(t, with("settle", "--notify=false")...).until(t, served)
	begin(t, with("notify", "run", "--webhook-loopback")...).until(t, served)
	front := begin(t, with("serve", "--admin-token", "operator", "--webhook-loopback")...).until(t, served)[1]
	w, k := newWitnesses(t, front, "small"), newHook(t)
	var webhook struct{ ID, Secret string }
	if status := w.ask(t.Context(), "POST", "/v1/admin/webhooks", "operator", `{"url":"`+k.URL+`"}`, &webhook); status != http.StatusCreated {
		t.Fatalf("the webhook: %d", status)
	}
	k.mu.Lock()
	k.secret = webhook.Secret
	k.mu.Unlock()
	const event = `{"id":"small","name":"Small","starts_at":"2030-01-01T20:00:00Z","currency":"EUR","sections":[{"id":"floor","kind":"general","capacity":10,"price":5000}]}`
	w.ask(t.Context(), "POST", "/v1/admin/events", "operator", event, &struct{}{})
	w.ask(t.Context(), "POST", "/v1/admin/events/small/open", "operator", "", &struct{}{})
	eventually(t, "a purchase is accepted", func() bool { w.buy(t.Context()); return w.count() == 1 })
	eventually(t, "the webhook is told", func() bool { _, _, n := k.posts(); return n == 1 })
	id, body, _ := k.posts()
	for order := range w.told {
		if !strings.Contains(body, `"type":"order.ticketed"`) || !strings.Contains(body, string(order)) {
			t.Errorf("the webhook is told %s", body)
		}
	}

	postgres := []string{"--postgres", env["ONSALE_POSTGRES"]}
	notify := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, append(append([]string{"notify"}, args...), postgres...)...)
		if code != 0 {
			t.Fatalf("notify %v: exit %d\n%s", args, code, stderr)
		}
		return stdout
	}
	var sent []onsale.Delivery
	eventually(t, "it is written down", func() bool {
		text := notify("list", "--state", "sent", "--json")
		return json.Unmarshal([]byte(text), &sent) == nil && len(sent) == 1
	})
	if sent[0].ID != onsale.DeliveryID(id) || string(sent[0].Lane) != webhook.ID || !strings.Contains(notify("list", "--state", "sent"), id) {
		t.Errorf("%+v", sent)
	}
	// Flags stand before the argument.
	code, stdout, stderr := run(t, append(append([]string{"notify", "replay"}, postgres...), id)...)
	if code != 0 || stdout != "1 queued again\n" {
		t.Errorf("replay: exit %d\n%s%s", code, stdout, stderr)
	}
	eventually(t, "it is told again, under the same id", func() bool { _, _, n := k.posts(); return n == 2 })
	if code, stdout, _ := run(t, append(append([]string{"notify", "show"}, postgres...), id)...); code != 0 || !strings.Contains(stdout, `"told": "ticketed"`) {
		t.Errorf("show: exit %d\n%s", code, stdout)
	}
	if text := notify("replay", "--dead"); text != "0 queued again\n" {
		t.Errorf("nothing is dead, and %s", text)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.bad) > 0 {
		t.Errorf("not verified: %v", k.bad)
	}
}

func TestWrongUseOfTellingIsOneLineThatRepeatsNoPassword(t *testing.T) {
	t.Parallel()
	const id = "msg_0123456789abcdef0123456789abcdef"
	for promise, test := range map[string]struct {
		args []string
		says string
	}{
		"a mail server that is none":    {[]string{"settle", "--smtp", "http://u:geheim@mail.example"}, "smtp://"},
		"a mail server without a from":  {[]string{"notify", "run", "--smtp", "smtp://u:geheim@mail.example"}, "--mail-from"},
		"a public URL that is none":     {[]string{"demo", "--smtp", "smtp://u:geheim@m.example", "--mail-from", "a@b.example", "--public-url", "x"}, "--public-url"},
		"neither yes nor no":            {[]string{"settle", "--notify=perhaps"}, "notify"},
		"an unknown notify command":     {[]string{"notify", "foo"}, `"foo"`},
		"show without a delivery":       {[]string{"notify", "show"}, "--help"},
		"show of no delivery's id":      {[]string{"notify", "show", "x"}, "no delivery"},
		"replay of nothing":             {[]string{"notify", "replay"}, "--help"},
		"replay of one and all":         {[]string{"notify", "replay", "--dead", id}, "--help"},
		"a lane that is none":           {[]string{"notify", "list", "--lane", "fax"}, "--lane"},
		"a state that is none":          {[]string{"notify", "list", "--state", "lost"}, "--state"},
		"a list of none":                {[]string{"notify", "list", "--limit", "0"}, "--limit"},
		"a list from nowhere":           {[]string{"notify", "list", "--postgres", "postgres://x@127.0.0.1:1/x"}, "Postgres"},
		"a list that takes an argument": {[]string{"notify", "list", id}, "--help"},
	} {
		t.Run(promise, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := run(t, test.args...)
			if code != exitUsage || strings.Count(strings.TrimSpace(stderr), "\n") != 0 || !strings.Contains(stderr, test.says) || strings.Contains(stderr, "geheim") {
				t.Errorf("exit %d, want %d and one line with %q:\n%s", code, exitUsage, test.says, stderr)
			}
		})
	}
}
