// Package stripe is Stripe as a payment.Provider, by its PaymentIntents API.
//
// An order has one payment intent, in two requests:
//
//	POST /v1/payment_intents              key ORDER:create   moves no money
//	POST /v1/payment_intents/PI/confirm   key ORDER:confirm  takes it, or sets it aside
//
// Creating it without confirming it is what makes everything else possible with nothing
// stored here. Asked again under the same key Stripe answers with the same intent, so
// creating is also the look-up (intent.go); and an intent that exists can be cancelled,
// so an order can be voided for which nobody was charged yet. The payment token goes
// with the confirming: a token that Stripe refuses still leaves an intent to cancel. It
// is a payment method, pm_…, or a confirmation token, ctoken_…, which the page got from
// Stripe: no card comes near us.
//
// Why it can't charge twice: Stripe takes money once for an intent, and confirms it
// once for a key, which it knows for a day. What is older than keyLife is looked for by
// its metadata first (an index that is a minute behind, at the worst an hour), and
// charges are called off long before (payment.MaxGiveUp), so that none is confirmed then.
//
// What is unknown: no answer, a 409 (the same request is under way), a 429 and any 5xx.
// Stripe keeps a 5xx under its key too, and repeats it. Then another key is used for the
// creating, since nobody can ever confirm an intent whose id nobody was told; never for
// the confirming, so that such a charge is called off in time.
// What is undecided, payment.ErrPending: an intent that is processing, or that wants its
// customer to do something. A webhook tells (notices.go), or the next look. Each is read
// from the intent itself, never guessed.
//
// Our own client rather than stripe-go: we need seven requests, each with a bounded
// answer and with no retry of its own, and the state machine above is all there is to
// it. The tests hold every request to Stripe's own description of its API.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"onsale"
	"onsale/checkout/payment"
	"onsale/internal/bareurl"
)

// DefaultURL is where Stripe's API is.
const DefaultURL = "https://api.stripe.com"

// Config says how to speak to Stripe.
type Config struct {
	URL string // base; default DefaultURL
	Key string // the account's secret or restricted key. It is never printed
	// Installation goes into the metadata of all that we make at Stripe. What has another
	// one there, or none, is not ours: an account may serve others too.
	Installation string
	AnswerTime   time.Duration // default payment.DefaultAnswerTime
	Conns        int           // default payment.DefaultConns
}

// Provider is an account at Stripe.
type Provider struct {
	api          *api
	installation string
}

var _ payment.Provider = (*Provider)(nil)

// New returns a provider. It connects when it is first used; an error means that the
// configuration can't be right.
func New(cfg Config) (*Provider, error) {
	if cfg.URL == "" {
		cfg.URL = DefaultURL
	}
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("stripe at %s: write its URL as https://HOST", bareurl.Of(cfg.URL))
	}
	if cfg.Key == "" {
		return nil, errors.New("stripe needs the account's key")
	}
	if cfg.AnswerTime == 0 {
		cfg.AnswerTime = payment.DefaultAnswerTime
	}
	if cfg.Conns == 0 {
		cfg.Conns = payment.DefaultConns
	}
	return &Provider{installation: cfg.Installation, api: &api{
		base: base, key: cfg.Key, answerTime: cfg.AnswerTime, http: payment.NewHTTPClient(cfg.Conns),
	}}, nil
}

// Close closes the idle connections.
func (p *Provider) Close() { p.api.http.CloseIdleConnections() }

// The ways to confirm an intent.
const (
	captureNow   = "automatic"
	captureLater = "manual"
)

// Charge implements payment.Provider.
func (p *Provider) Charge(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	result, err := p.take(ctx, c, captureNow)
	if err == nil && result.Outcome == onsale.ChargeAuthorised {
		err = fmt.Errorf("%w: the order was authorised, not charged", payment.ErrRefused)
	}
	return named("charge", c, result, err)
}

// Authorise implements payment.Provider.
func (p *Provider) Authorise(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	result, err := p.take(ctx, c, captureLater)
	return named("authorise", c, result, err)
}

// take confirms the order's intent, unless it is decided already.
func (p *Provider) take(ctx context.Context, c onsale.Charge, capture string) (onsale.ChargeResult, error) {
	intent, err := p.find(ctx, c)
	if err != nil {
		return onsale.ChargeResult{}, err
	}
	if !intent.unasked() {
		return intent.result()
	}
	form := url.Values{"capture_method": {capture}}
	if strings.HasPrefix(c.PaymentToken, "ctoken_") { // of Stripe's newer forms
		form.Set("confirmation_token", c.PaymentToken)
	} else {
		form.Set("payment_method", c.PaymentToken)
	}
	return p.step(ctx, intent, "confirm", string(c.Order)+":confirm", form)
}

// Capture implements payment.Provider.
func (p *Provider) Capture(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	intent, err := p.find(ctx, c)
	if err != nil {
		return named("capture", c, onsale.ChargeResult{}, err)
	}
	result, err := intent.result()
	switch {
	case intent.unasked():
		err = fmt.Errorf("%w: nothing was set aside", payment.ErrRefused)
	case err == nil && result.Outcome == onsale.ChargeAuthorised:
		// No key: an intent is captured once, and a key would keep an answer that was no answer.
		result, err = p.step(ctx, intent, "capture", "", nil)
	}
	return named("capture", c, result, err)
}

// Void implements payment.Provider.
func (p *Provider) Void(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	intent, err := p.find(ctx, c)
	var failed *apiError
	if errors.As(err, &failed) && failed.forGood() {
		// There is no intent, and none can be made by which this order could be charged.
		at := c.At.UTC().Truncate(time.Second)
		return onsale.ChargeResult{Order: c.Order, Event: c.Event, Outcome: onsale.ChargeDeclined, Reason: onsale.DeclinedVoided, At: at}, nil
	}
	if err != nil {
		return named("void", c, onsale.ChargeResult{}, err)
	}
	result, err := intent.result()
	if intent.unasked() || err != nil || result.Outcome == onsale.ChargeAuthorised {
		result, err = p.step(ctx, intent, "cancel", "", url.Values{"cancellation_reason": {"abandoned"}}) // no key, as for a capture
	}
	return named("void", c, result, err)
}

// LookUp implements payment.Provider. An order that Stripe doesn't know is known to it
// afterwards, as an intent that takes no money.
func (p *Provider) LookUp(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, bool, error) {
	intent, err := p.find(ctx, c)
	switch {
	case errors.Is(err, payment.ErrRefused): // no intent can be made
		return onsale.ChargeResult{}, false, nil
	case err != nil:
		return onsale.ChargeResult{}, false, fmt.Errorf("look up charge %s: %w", c.Order, err)
	case intent.unasked():
		return onsale.ChargeResult{}, false, nil
	}
	result, err := intent.result()
	if err != nil || result.Outcome == onsale.ChargeAuthorised {
		return onsale.ChargeResult{}, false, nil // found, and not decided
	}
	return result, true, nil
}

// named says in an error what was being done, and returns no result with one.
func named(what string, c onsale.Charge, r onsale.ChargeResult, err error) (onsale.ChargeResult, error) {
	if err != nil {
		return onsale.ChargeResult{}, fmt.Errorf("%s %s at Stripe: %w", what, c.Order, err)
	}
	return r, nil
}

// step asks for a change of an intent and returns what became of it. Where the change
// is refused since the intent is elsewhere by now, the intent is asked.
func (p *Provider) step(ctx context.Context, i *intent, change, key string, form url.Values) (onsale.ChargeResult, error) {
	var changed intent
	_, err := p.api.call(ctx, http.MethodPost, intentPath(i.ID)+"/"+change, form, key, &changed)
	var failed *apiError
	if errors.As(err, &failed) {
		switch {
		case failed.Code == "payment_intent_unexpected_state":
			if now, getErr := p.get(ctx, i.ID); getErr == nil && !now.unasked() {
				return now.result()
			}
		case failed.Type == typeCardError:
			return i.declined(failed.stripeError), nil
		}
	}
	if err != nil {
		return onsale.ChargeResult{}, err
	}
	if err := changed.belongsTo(i.Metadata[metaOrder], p.installation); err != nil {
		return onsale.ChargeResult{}, err
	}
	return changed.result()
}
