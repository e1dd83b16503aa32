package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// keyLife is for how long Stripe surely knows an idempotency key; it says a day.
const keyLife = 23 * time.Hour

// createKeys is how many keys are tried for an intent, one after the other.
const createKeys = 3

// The metadata of what we make at Stripe.
const (
	metaInstallation = "onsale"
	metaOrder        = "onsale_order"
	metaEvent        = "onsale_event"
	metaRefund       = "onsale_refund"
	metaReason       = "onsale_reason"
)

// intent is what we read of a PaymentIntent.
type intent struct {
	ID               string            `json:"id"`
	Status           string            `json:"status"`
	Amount           int64             `json:"amount"`
	AmountReceived   int64             `json:"amount_received"`
	Currency         string            `json:"currency"` // lower case
	Created          int64             `json:"created"`  // seconds since 1970
	Metadata         map[string]string `json:"metadata"`
	LastPaymentError *stripeError      `json:"last_payment_error"`
}

func intentPath(id string) string { return "/v1/payment_intents/" + url.PathEscape(id) }

// find returns the order's intent as it is now, which is made if there is none.
func (p *Provider) find(ctx context.Context, c onsale.Charge) (*intent, error) {
	if time.Since(c.At) > keyLife {
		if known, err := p.findOld(ctx, c.Order); known != nil || err != nil {
			return known, err
		}
	}
	var failed *apiError
	made, replayed, err := p.create(ctx, c, ":create")
	for n := 2; n <= createKeys && errors.As(err, &failed) && failed.replayed && failed.status >= http.StatusInternalServerError; n++ {
		made, replayed, err = p.create(ctx, c, ":create:"+strconv.Itoa(n))
	}
	if err == nil && replayed {
		return p.get(ctx, made.ID)
	}
	return made, err
}

// create makes the order's intent under a key, or is told again which it is.
func (p *Provider) create(ctx context.Context, c onsale.Charge, key string) (made *intent, replayed bool, err error) {
	made = &intent{}
	replayed, err = p.api.call(ctx, http.MethodPost, "/v1/payment_intents", url.Values{
		"amount":                   {strconv.FormatInt(c.Amount, 10)},
		"currency":                 {strings.ToLower(c.Currency)},
		"payment_method_types[]":   {"card"}, // which is decided in minutes, not days
		metadata(metaInstallation): {p.installation},
		metadata(metaOrder):        {string(c.Order)},
		metadata(metaEvent):        {string(c.Event)},
	}, string(c.Order)+key, made)
	if err == nil {
		err = made.belongsTo(string(c.Order), p.installation)
	}
	return made, replayed, err
}

// findOld returns the intent of an order whose keys Stripe may have forgotten, nil if
// there is none. Of several it is the one whose money was asked for.
func (p *Provider) findOld(ctx context.Context, order onsale.OrderID) (*intent, error) {
	known, err := p.search(ctx, query(p.installation, metaOrder, string(order)), "", pageSize)
	if err != nil || len(known.Data) == 0 {
		return nil, err
	}
	at := max(0, slices.IndexFunc(known.Data, func(f found) bool { return !f.unasked() }))
	return p.get(ctx, known.Data[at].ID)
}

// get returns an intent of ours as it is now.
func (p *Provider) get(ctx context.Context, id string) (*intent, error) {
	var i intent
	if _, err := p.api.call(ctx, http.MethodGet, intentPath(id), nil, "", &i); err != nil {
		return nil, err
	}
	if i.ID != id {
		return nil, fmt.Errorf("%w: intent %.40q", errNotOurs, i.ID)
	}
	return &i, i.belongsTo(i.Metadata[metaOrder], p.installation)
}

// belongsTo returns an error if the intent is not of this order and installation.
func (i *intent) belongsTo(order, installation string) error {
	event, _, ok := onsale.OrderID(order).Parse()
	if !ok || i.ID == "" || i.Metadata[metaOrder] != order || i.Metadata[metaInstallation] != installation ||
		i.Metadata[metaEvent] != string(event) {
		return fmt.Errorf("%w: intent %.40q of order %.80q", errNotOurs, i.ID, i.Metadata[metaOrder])
	}
	return nil
}

// unasked reports whether nobody has asked for the intent's money yet.
func (i *intent) unasked() bool {
	return (i.Status == "requires_payment_method" && i.LastPaymentError == nil) || i.Status == "requires_confirmation"
}

// result is what became of the intent, the same whenever it is read:
//
//	succeeded                                       captured
//	requires_capture                                authorised
//	canceled                                        declined: called off
//	requires_payment_method, after a card's error   declined
//	anything else                                   payment.ErrPending
func (i *intent) result() (onsale.ChargeResult, error) {
	r := i.about()
	switch {
	case i.Status == "succeeded":
		r.Outcome, r.Amount = onsale.ChargeCaptured, i.AmountReceived
	case i.Status == "requires_capture":
		r.Outcome = onsale.ChargeAuthorised
	case i.Status == "canceled":
		r.Outcome, r.Reason = onsale.ChargeDeclined, onsale.DeclinedVoided
	case i.Status == "requires_payment_method" && i.LastPaymentError != nil &&
		(i.LastPaymentError.Type == typeCardError || i.LastPaymentError.Type == typeInvalidRequest):
		return i.declined(*i.LastPaymentError), nil
	default:
		return onsale.ChargeResult{}, fmt.Errorf("%w: intent %s is %.40s", payment.ErrPending, i.ID, i.Status)
	}
	return r, nil
}

func (i *intent) declined(why stripeError) onsale.ChargeResult {
	r := i.about()
	r.Outcome, r.Reason = onsale.ChargeDeclined, why.reason()
	return r
}

func (i *intent) about() onsale.ChargeResult {
	return onsale.ChargeResult{
		Order: onsale.OrderID(i.Metadata[metaOrder]), Event: onsale.EventID(i.Metadata[metaEvent]), Reference: i.ID,
		Amount: i.Amount, Currency: strings.ToUpper(i.Currency), At: time.Unix(i.Created, 0).UTC(),
	}
}

func metadata(name string) string { return "metadata[" + name + "]" }
