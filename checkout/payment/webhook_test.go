package payment_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

func TestWebhookSignatureHoldsOnlyForItsBodySecretAndTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	secret, body := []byte("whsec_1"), []byte(`{"id":"ntc_1","order":"ord_1"}`)
	good := payment.SignWebhook(secret, body, now)
	sign := func(at time.Time) string { return payment.SignWebhook(secret, body, at) }
	tAt, v1, _ := strings.Cut(good, ",")

	for name, c := range map[string]struct {
		secret, body, header string
		now                  time.Time
		ok                   bool
	}{
		"as signed":             {"whsec_1", string(body), good, now, true},
		"the same again":        {"whsec_1", string(body), good, now, true}, // its id tells that it is a repeat
		"unknown field":         {"whsec_1", string(body), good + ",v2=abc", now, true},
		"five minutes old":      {"whsec_1", string(body), sign(now.Add(-5 * time.Minute)), now, true},
		"clock ahead":           {"whsec_1", string(body), sign(now.Add(5 * time.Minute)), now, true},
		"too old":               {"whsec_1", string(body), sign(now.Add(-5*time.Minute - time.Second)), now, false},
		"too new":               {"whsec_1", string(body), sign(now.Add(5*time.Minute + time.Second)), now, false},
		"the end of time":       {"whsec_1", string(body), sign(time.Unix(1<<62, 0)), now, false},
		"another secret":        {"whsec_2", string(body), good, now, false},
		"no secret":             {"", string(body), payment.SignWebhook(nil, body, now), now, false},
		"another body":          {"whsec_1", string(body) + " ", good, now, false},
		"another time":          {"whsec_1", string(body), strings.Replace(good, "t=18", "t=19", 1), now, false},
		"old, time rewritten":   {"whsec_1", string(body), tAt + "," + strings.Split(sign(now.Add(-time.Hour)), ",")[1], now, false},
		"no header":             {"whsec_1", string(body), "", now, false},
		"no signature":          {"whsec_1", string(body), tAt, now, false},
		"empty signature":       {"whsec_1", string(body), tAt + ",v1=", now, false},
		"short signature":       {"whsec_1", string(body), tAt + "," + v1[:20], now, false},
		"signature not hex":     {"whsec_1", string(body), tAt + ",v1=" + strings.Repeat("z", 64), now, false},
		"no time":               {"whsec_1", string(body), v1, now, false},
		"two times":             {"whsec_1", string(body), good + ",t=1", now, false},
		"two signatures":        {"whsec_1", string(body), good + "," + v1, now, false},
		"signature, but of t=x": {"whsec_1", string(body), "nonsense", now, false},
	} {
		err := payment.VerifyWebhook([]byte(c.secret), c.header, []byte(c.body), c.now)
		if c.ok && err != nil {
			t.Errorf("%s: refused: %v", name, err)
		}
		if !c.ok && onsale.CodeOf(err) != onsale.CodeUnauthenticated {
			t.Errorf("%s: %v, want %s", name, err, onsale.CodeUnauthenticated)
		}
	}
}

func TestWebhookSaysADefiniteResultOrNothing(t *testing.T) {
	order := onsale.NewHoldID("gala", 1).Order()
	good := `{"id":"ntc_1","order":"` + string(order) + `","outcome":"captured","reference":"chg_1","amount":4200,"currency":"EUR","at":"2027-06-05T20:00:00Z"}`
	want := onsale.ChargeResult{
		Order: order, Event: "gala", Outcome: onsale.ChargeCaptured, Reference: "chg_1",
		Amount: 4200, Currency: "EUR", At: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC),
	}
	if got, err := read(t, good).Result(); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"no amount":      strings.Replace(good, `"amount":4200,`, "", 1),
		"amount null":    strings.Replace(good, "4200", "null", 1),
		"amount below 0": strings.Replace(good, "4200", "-4200", 1),
		"no currency":    strings.Replace(good, `"currency":"EUR",`, "", 1),
		"not an outcome": strings.Replace(good, "captured", "pending", 1),
		"no reference":   strings.Replace(good, "chg_1", "", 1),
		"no order":       strings.Replace(good, string(order), "", 1),
	} {
		if _, err := read(t, text).Result(); onsale.CodeOf(err) != onsale.CodeBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebhookOfADeclineNeedsNoMoney(t *testing.T) {
	order := onsale.NewHoldID("gala", 1).Order()
	got, err := read(t, `{"id":"ntc_1","order":"`+string(order)+`","outcome":"declined","reason":"card_declined"}`).Result()
	want := onsale.ChargeResult{Order: order, Event: "gala", Outcome: onsale.ChargeDeclined, Reason: "card_declined"}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestWebhookOfAFreeTicketSaysSo(t *testing.T) {
	free := payment.Webhook{ID: "ntc_1", Order: onsale.NewHoldID("gala", 1).Order(), Outcome: onsale.ChargeCaptured, Reference: "chg_1", Currency: "EUR"}
	text, err := json.Marshal(free)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, string(text)).Result(); err != nil || got.Amount != 0 {
		t.Errorf("%s: %+v, %v", text, got, err)
	}
}

func TestWebhookWithAnUnknownFieldIsRefused(t *testing.T) {
	var w payment.Webhook
	if err := json.Unmarshal([]byte(`{"id":"ntc_1","colour":"red"}`), &w); err == nil {
		t.Errorf("taken as %+v", w)
	}
}

func read(t *testing.T, text string) (w payment.Webhook) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	return w
}
