package notify

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"onsale"
)

var keys = NewKeyring([]byte("a secret of at least thirty-two bytes"))

// posterTo returns a poster to a server on this machine.
func posterTo(t *testing.T, url string) *poster {
	t.Helper()
	p := newPoster(keys, true)
	p.webhook = onsale.Webhook{ID: onsale.NewWebhookID(), URL: url, Version: 1}
	t.Cleanup(p.rest)
	return p
}

func serve(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s
}

func TestWebhookIsSignedAsTheStandardsOwnLibraryVerifies(t *testing.T) {
	var header http.Header
	var body []byte
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	})
	p := posterTo(t, s.URL)
	d := aDelivery(onsale.OrderDeclined)
	d.Reason = "card_declined"
	verify := func(secret string) error {
		v, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(body, header)
	}
	first := keys.Secret(&p.webhook)
	if err := p.send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := verify(first); err != nil {
		t.Error(err)
	}
	if got := header.Get("webhook-id"); got != string(d.ID) {
		t.Errorf("webhook-id is %q", got)
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil || m.Type != "order.declined" || !m.Timestamp.Equal(d.At) || m.Data.Order != d.Order ||
		m.Data.Reason != d.Reason || m.Data.Amount != d.Amount || strings.Contains(string(body), "friend") {
		t.Errorf("%v: %s", err, body)
	}

	now := time.Now()
	p.webhook.Version, p.webhook.RotatedAt = 2, &now
	second := keys.Secret(&p.webhook)
	was := string(body)
	if err := p.send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if string(body) != was {
		t.Errorf("a repeat says something else:\n%s\n%s", was, body)
	}
	if err := errors.Join(verify(first), verify(second)); err != nil {
		t.Errorf("while it is rotated both secrets verify: %v", err)
	}
	long := now.Add(-RotationTime - time.Second)
	p.webhook.RotatedAt = &long
	if err := p.send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if verify(second) != nil || verify(first) == nil {
		t.Errorf("after a day only the new secret verifies: %v, %v", verify(second), verify(first))
	}
	body = append(body, ' ')
	if verify(second) == nil {
		t.Error("another body verifies")
	}
	if p.webhook.ID = onsale.NewWebhookID(); keys.Secret(&p.webhook) == second {
		t.Error("two webhooks share a secret")
	}
}

func TestSecretOfTheStandardsVectorSignsAsItSays(t *testing.T) {
	// Source: the standard's own library's tests.
	v, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	want, err := v.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if err != nil || want != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Fatalf("%s, %v", want, err)
	}
	key := []byte("\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0")
	if got := signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatAWebhookAnswersDecidesOnTheDelivery(t *testing.T) {
	for status, want := range map[int]*failure{
		200: nil, 204: nil, 299: nil,
		301: {}, 307: {}, 400: {}, 404: {},
		410: {gone: true},
		429: {down: true, after: time.Minute}, 500: {down: true, after: time.Minute}, 503: {down: true, after: time.Minute},
	} {
		var asked atomic.Int64
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(status)
		})
		err := posterTo(t, s.URL+"/hook").send(t.Context(), aDelivery(onsale.OrderTicketed))
		f, _ := errors.AsType[*failure](err)
		if (err == nil) != (want == nil) || (want != nil && (f == nil || f.gone != want.gone || f.down != want.down || f.after != want.after || f.final)) {
			t.Errorf("%d: %v (%+v), want like %+v", status, err, f, want)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%d: asked %d times: redirects are not followed", status, n)
		}
	}
}

func TestAnEndlessAnswerIsReadOnlyToABound(t *testing.T) {
	var written atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	if err := posterTo(t, s.URL).send(t.Context(), aDelivery(onsale.OrderTicketed)); err != nil {
		t.Error(err)
	}
	s.CloseClientConnections()
	if n := written.Load(); n > 64<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

func TestWebhookReachesOnlyPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "2606:4700::1111": true, "172.15.0.1": true, "172.32.0.1": true, "100.63.0.1": true,
		"127.0.0.1": false, "127.8.8.8": false, "::1": false, "0.0.0.0": false, "::": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.9.9": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false, "198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false,
		"fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "::ffff:10.0.0.1": false, "::ffff:127.0.0.1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::1": false, "2001::1": false, "2001:db8::1": false, "fe80::1%eth0": false,
	} {
		if got := reachable(netip.MustParseAddr(address), false); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	for _, loopback := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)} { // a name that leads here is found out when it is dialled
		p := newPoster(keys, false)
		p.webhook = onsale.Webhook{ID: onsale.NewWebhookID(), URL: loopback, Version: 1}
		if err := p.send(t.Context(), aDelivery(onsale.OrderTicketed)); err == nil || !strings.Contains(err.Error(), "public") {
			t.Errorf("%s: %v", loopback, err)
		}
		p.rest()
	}
}

func TestWebhookURLThatLeadsNowhereGoodIsRefused(t *testing.T) {
	for url, want := range map[string]struct{ usually, loopback bool }{
		"https://example.com/hook?a=b": {true, true}, "https://93.184.216.34:8443/": {true, true},
		"http://127.0.0.1:8080/": {false, true}, "http://localhost/": {false, true}, "https://localhost/": {false, true}, "http://[::1]/": {false, true},
		"http://example.com/": {}, "ftp://example.com/": {}, "https://": {}, "": {}, "example.com": {}, "https:example.com": {}, "/hook": {},
		"https://u:p@example.com/": {}, "https://example.com/#x": {}, "https://exa mple.com/": {}, "https://example.com/\r\nx": {},
		"https://10.0.0.1/": {}, "https://[fe80::1]/": {}, "https://169.254.169.254/latest": {}, "https://[::ffff:10.0.0.1]/": {}, "https://żółć.example/": {},
		"https://example.com/" + strings.Repeat("a", maxURLLength): {},
	} {
		for loopback, ok := range map[bool]bool{false: want.usually, true: want.loopback} {
			err := CheckURL(url, loopback)
			if (err == nil) != ok || (err != nil && onsale.CodeOf(err) != onsale.CodeBadRequest) {
				t.Errorf("%.60q, loopback %v: %v", url, loopback, err)
			}
		}
	}
}

func TestADeliveryIsTriedForThreeDaysAndThenDead(t *testing.T) {
	d := aDelivery(onsale.OrderTicketed)
	var total time.Duration
	for d.Attempts = 1; ; d.Attempts++ {
		o := outcomeOf(d, &failure{text: "no"})
		if o.State == onsale.DeliveryDead {
			break
		}
		total += o.After
		if d.Attempts > 20 {
			t.Fatal("it is tried for ever")
		}
	}
	if total < 68*time.Hour || total > 84*time.Hour || d.Attempts != len(waits)+1 {
		t.Errorf("%d attempts in %v", d.Attempts, total)
	}
	d.Attempts = 1
	if o := outcomeOf(d, &failure{after: 100 * time.Hour}); o.After != maxAdvice {
		t.Errorf("a receiver may have us wait %v", o.After)
	}
	if o := outcomeOf(d, &failure{text: "a\x00b\nc" + strings.Repeat("é", 1000), final: true}); o.State != onsale.DeliveryDead || len([]rune(o.Error)) != maxErrorLength || strings.ContainsAny(o.Error, "\x00\n") {
		t.Errorf("%+v", o)
	}
	// A lease outlives what is begun last in a batch, and writing it down.
	if batchTime+sendTimeout+endTime >= lease {
		t.Error("a lease may end while its batch is sent")
	}
	if stopGrace+endTime >= onsale.StopTimeout {
		t.Error("what is sent when a notifier stops may not be written down")
	}
}
