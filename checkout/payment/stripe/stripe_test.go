package stripe

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onsale"
	"onsale/checkout/payment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const installation = "inst1"

func newCharge(token string) onsale.Charge {
	return onsale.Charge{
		Order: onsale.NewHoldID("gala", 1).Order(), Event: "gala", Amount: 4200, Currency: "EUR", PaymentToken: token, At: time.Now(),
	}
}

func newProvider(t *testing.T, url string) *Provider {
	t.Helper()
	p, err := New(Config{URL: url, Key: "sk_test_1", Installation: installation, AnswerTime: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// captures is how often Stripe took the order's money.
func (f *fake) captures(order onsale.OrderID) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.intents {
		if meta, _ := i.fields["metadata"].(map[string]string); meta[metaOrder] == string(order) {
			n += i.captures
		}
	}
	return n
}

func TestEachTokenIsDecidedOnceAndTheSameEachTime(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	for token, want := range map[string]onsale.ChargeResult{
		"pm_card_visa": {Outcome: onsale.ChargeCaptured},
		"ctoken_visa":  {Outcome: onsale.ChargeCaptured},
		"pm_declined":  {Outcome: onsale.ChargeDeclined, Reason: "insufficient_funds"},
	} {
		c := newCharge(token)
		first, err := p.Charge(t.Context(), c)
		if err != nil || first.Outcome != want.Outcome || first.Reason != want.Reason || first.Order != c.Order ||
			first.Amount != 4200 || first.Currency != "EUR" || !strings.HasPrefix(first.Reference, "pi_") {
			t.Fatalf("%s: %+v, %v", token, first, err)
		}
		again, err := p.Charge(t.Context(), c)
		looked, found, lookErr := p.LookUp(t.Context(), c)
		voided, voidErr := p.Void(t.Context(), c)
		if again != first || looked != first || voided != first || !found || err != nil || lookErr != nil || voidErr != nil {
			t.Errorf("%s: again %+v %v; looked up %+v %v; voided %+v %v", token, again, err, looked, lookErr, voided, voidErr)
		}
	}
}

func TestWhateverFailsIsUnknownAndIsChargedOnceInTheEnd(t *testing.T) {
	busy := refusalOf("idempotency_error", "idempotency_key_in_use", "")
	for name, failing := range map[string]failure{
		"no answer to the creating":                {suffix: "/payment_intents"},
		"created, no answer":                       {suffix: "/payment_intents", after: true},
		"no answer to the confirming":              {suffix: "/confirm"},
		"confirmed, no answer":                     {suffix: "/confirm", after: true},
		"confirmed, a 500":                         {suffix: "/confirm", after: true, status: 500, body: refusalOf("api_error", "", "")},
		"a 500 to the creating, for ever":          {suffix: "/payment_intents", kept: true, status: 500, body: refusalOf("api_error", "", "")},
		"a 409: the same is under way":             {suffix: "/confirm", status: 409, body: busy},
		"a 429":                                    {suffix: "/confirm", status: 429, body: refusalOf(typeInvalidRequest, "rate_limit", "")},
		"a 401: the key is wrong":                  {suffix: "/payment_intents", status: 401, body: refusalOf(typeInvalidRequest, "", "")},
		"a proxy's 400":                            {suffix: "/confirm", status: 400, body: "<html>"},
		"a 402 in disguise: the intent isn't ours": {suffix: "/confirm", after: true, status: 200, body: `{"id":"pi_9","status":"succeeded"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			p := newProvider(t, f.server.URL)
			c := newCharge("pm_card_visa")
			f.failNext(failing)
			if r, err := p.Charge(t.Context(), c); err == nil || errors.Is(err, payment.ErrRefused) || r != (onsale.ChargeResult{}) {
				t.Fatalf("the first time: %+v, %v", r, err)
			}
			for range 3 {
				if r, err := p.Charge(t.Context(), c); err != nil || r.Outcome != onsale.ChargeCaptured {
					t.Errorf("again: %+v, %v", r, err)
				}
			}
			if n := f.captures(c.Order); n != 1 || len(f.ids) != 1 {
				t.Errorf("taken %d times, by %d intents", n, len(f.ids))
			}
		})
	}
}

func TestManyAtOnceChargeOnce(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	c := newCharge("pm_card_visa")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			ask := p.Charge
			if i%4 == 3 {
				ask = p.Void
			}
			if r, err := ask(context.Background(), c); err != nil && !errors.Is(err, payment.ErrPending) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	all.Wait()
	r, err := p.Charge(t.Context(), c)
	captured := r.Outcome == onsale.ChargeCaptured
	if n := f.captures(c.Order); err != nil || (n == 1) != captured || n > 1 {
		t.Errorf("taken %d times, and it is %+v, %v", n, r, err)
	}
}

func TestConfirmingThatFailedForGoodIsNeverTriedUnderAnotherKey(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	c := newCharge("pm_card_visa")
	f.failNext(failure{suffix: "/confirm", kept: true, status: 500, body: refusalOf("api_error", "", "")})
	for range 3 {
		if r, err := p.Charge(t.Context(), c); err == nil {
			t.Errorf("%+v", r)
		}
	}
	if r, err := p.Void(t.Context(), c); err != nil || r.Reason != onsale.DeclinedVoided || f.captures(c.Order) != 0 {
		t.Errorf("voided %+v, %v", r, err)
	}
}

func TestVoidedOrderCanNeverBeCharged(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *fake, *Provider, onsale.Charge){
		"never asked for": func(*testing.T, *fake, *Provider, onsale.Charge) {},
		"created alone": func(t *testing.T, f *fake, p *Provider, c onsale.Charge) {
			f.failNext(failure{suffix: "/confirm"})
			if _, err := p.Charge(t.Context(), c); err == nil {
				t.Error("charged")
			}
		},
		"set aside": func(t *testing.T, _ *fake, p *Provider, c onsale.Charge) {
			if r, err := p.Authorise(t.Context(), c); err != nil || r.Outcome != onsale.ChargeAuthorised {
				t.Errorf("%+v, %v", r, err)
			}
		},
		"wants its customer": func(t *testing.T, f *fake, p *Provider, c onsale.Charge) {
			if _, err := p.Charge(t.Context(), c); err != nil {
				t.Error(err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.intents["pi_1"].fields["status"], f.intents["pi_1"].captures = "requires_action", 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			p := newProvider(t, f.server.URL)
			c := newCharge("pm_card_visa")
			before(t, f, p, c)
			f.failNext(failure{suffix: "/cancel", after: true})
			if _, err := p.Void(t.Context(), c); err == nil {
				t.Error("a void that was not answered is definite")
			}
			for _, ask := range []func(context.Context, onsale.Charge) (onsale.ChargeResult, error){p.Void, p.Charge, p.Capture, p.Void, p.Authorise} {
				r, err := ask(t.Context(), c)
				if err != nil || r.Outcome != onsale.ChargeDeclined || r.Reason != onsale.DeclinedVoided {
					t.Errorf("%+v, %v", r, err)
				}
			}
			if n := f.captures(c.Order); n != 0 {
				t.Errorf("taken %d times", n)
			}
		})
	}
}

func TestRefusedForGoodSaysSoAndCanBeVoided(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	badCurrency := newCharge("pm_card_visa")
	badCurrency.Currency = "XXX"
	for name, c := range map[string]onsale.Charge{"a token that nobody issued": newCharge("pm_unknown"), "no such currency": badCurrency} {
		if r, err := p.Charge(t.Context(), c); !errors.Is(err, payment.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if _, found, err := p.LookUp(t.Context(), c); found || err != nil {
			t.Errorf("%s: found %t, %v", name, found, err)
		}
		if r, err := p.Void(t.Context(), c); err != nil || r.Outcome != onsale.ChargeDeclined || r.Reason != onsale.DeclinedVoided {
			t.Errorf("%s: voided %+v, %v", name, r, err)
		}
	}
	charged := newCharge("pm_card_visa")
	if _, err := p.Charge(t.Context(), charged); err != nil {
		t.Fatal(err)
	}
	charged.Amount++ // another charge under the same key: what is there is not known by it
	if r, err := p.Void(t.Context(), charged); err == nil || errors.Is(err, payment.ErrRefused) {
		t.Errorf("voided as another charge: %+v, %v", r, err)
	}
}

func TestUndecidedIsPendingAndDecidedLater(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	for _, token := range []string{"pm_3ds", "pm_slow"} {
		c := newCharge(token)
		for range 2 {
			if r, err := p.Charge(t.Context(), c); !errors.Is(err, payment.ErrPending) {
				t.Errorf("%s: %+v, %v", token, r, err)
			}
		}
		if _, found, err := p.LookUp(t.Context(), c); found || err != nil {
			t.Errorf("%s: found %t, %v", token, found, err)
		}
		f.mu.Lock()
		f.intents[f.ids[len(f.ids)-1]].succeed()
		f.mu.Unlock()
		if r, err := p.Charge(t.Context(), c); err != nil || r.Outcome != onsale.ChargeCaptured || f.captures(c.Order) != 1 {
			t.Errorf("%s, at last: %+v, %v", token, r, err)
		}
	}
}

func TestChargeThatIsOlderThanItsKeyIsFoundByItsMetadata(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	c := newCharge("pm_card_visa")
	want, err := p.Charge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	clear(f.keys) // a day later
	f.mu.Unlock()
	c.At = c.At.Add(-25 * time.Hour)
	if r, err := p.Void(t.Context(), c); err != nil || r != want {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
	if len(f.ids) != 1 {
		t.Errorf("%d intents", len(f.ids))
	}
}

func TestWhatWasSetAsideIsTakenOnce(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	c := newCharge("pm_card_visa")
	if r, err := p.Capture(t.Context(), c); !errors.Is(err, payment.ErrRefused) {
		t.Errorf("captured what was not set aside: %+v, %v", r, err)
	}
	if r, err := p.Authorise(t.Context(), c); err != nil || r.Outcome != onsale.ChargeAuthorised || f.captures(c.Order) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, found, err := p.LookUp(t.Context(), c); found || err != nil {
		t.Errorf("what is set aside is no end: %t, %v", found, err)
	}
	f.failNext(failure{suffix: "/capture", after: true})
	if _, err := p.Capture(t.Context(), c); err == nil {
		t.Error("no answer is an answer")
	}
	if r, err := p.Capture(t.Context(), c); err != nil || r.Outcome != onsale.ChargeCaptured || f.captures(c.Order) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestKeyIsNeverTold(t *testing.T) {
	p, err := New(Config{URL: "http://127.0.0.1:1", Key: "sk_live_topsecret"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err = p.Charge(t.Context(), newCharge("pm_card_visa")); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("%v", err)
	}
}
