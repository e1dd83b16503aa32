package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// refund is what we read of a Refund.
type refund struct {
	ID            string            `json:"id"`
	Status        string            `json:"status"`
	FailureReason string            `json:"failure_reason"`
	Created       int64             `json:"created"`
	Metadata      map[string]string `json:"metadata"`
}

// Refund implements payment.Provider. What is on record already is looked for first, in
// the intent's own list, which is never behind: keys are forgotten after a day, and
// someone may ask again later.
func (p *Provider) Refund(ctx context.Context, r onsale.Refund) (onsale.RefundResult, error) {
	made, err := p.findRefund(ctx, r)
	if err == nil && made == nil {
		made = &refund{}
		_, err = p.api.call(ctx, http.MethodPost, "/v1/refunds", url.Values{
			"payment_intent":           {r.Reference},
			"amount":                   {strconv.FormatInt(r.Amount, 10)},
			metadata(metaInstallation): {p.installation},
			metadata(metaRefund):       {string(r.ID)},
			metadata(metaOrder):        {string(r.Order)},
			metadata(metaReason):       {r.Reason},
		}, string(r.ID), made)
	}
	var failed *apiError
	if errors.As(err, &failed) && failed.forGood() {
		return onsale.RefundResult{ID: r.ID, Outcome: onsale.RefundRefused, Reason: failed.reason(), At: time.Now().UTC()}, nil
	}
	if err != nil {
		return onsale.RefundResult{}, fmt.Errorf("refund %s of %s at Stripe: %w", r.ID, r.Order, err)
	}
	return made.result(r.ID)
}

// LookUpRefund implements payment.Provider. A refund that has succeeded may still fail, when
// the bank doesn't take it: its status is failed from then on, and the money is ours again.
func (p *Provider) LookUpRefund(ctx context.Context, r onsale.Refund) (onsale.RefundResult, bool, error) {
	known, err := p.findRefund(ctx, r)
	if err != nil {
		return onsale.RefundResult{}, false, fmt.Errorf("look up refund %s of %s at Stripe: %w", r.ID, r.Order, err)
	}
	if known == nil {
		return onsale.RefundResult{}, false, nil
	}
	result, err := known.result(r.ID)
	return result, err == nil, err
}

// findRefund returns the refund if Stripe has it, else nil.
func (p *Provider) findRefund(ctx context.Context, r onsale.Refund) (*refund, error) {
	form := url.Values{"payment_intent": {r.Reference}, "limit": {strconv.Itoa(pageSize)}}
	for range maxPages {
		var list struct {
			Data    []refund `json:"data"`
			HasMore bool     `json:"has_more"`
		}
		if _, err := p.api.call(ctx, http.MethodGet, "/v1/refunds", form, "", &list); err != nil {
			return nil, err
		}
		for i := range list.Data {
			if list.Data[i].Metadata[metaRefund] == string(r.ID) {
				return &list.Data[i], nil
			}
		}
		if !list.HasMore || len(list.Data) == 0 {
			return nil, nil
		}
		form.Set("starting_after", list.Data[len(list.Data)-1].ID)
	}
	return nil, fmt.Errorf("more than %d refunds", maxPages*pageSize)
}

// result is what became of a refund:
//
//	succeeded                  made, until it is failed
//	failed, canceled           refused, for good
//	pending, requires_action   payment.ErrPending, and so is whatever else there may be
func (f *refund) result(id onsale.RefundID) (onsale.RefundResult, error) {
	r := onsale.RefundResult{ID: id, At: time.Unix(f.Created, 0).UTC()}
	switch {
	case f.Metadata[metaRefund] != string(id) || f.ID == "":
		return onsale.RefundResult{}, fmt.Errorf("%w: refund %.40q", errNotOurs, f.ID)
	case f.Status == "succeeded":
		r.Outcome, r.Reference = onsale.RefundMade, f.ID
	case f.hasFailed():
		r.Outcome, r.Reason = onsale.RefundRefused, f.FailureReason
		if r.Reason == "" {
			r.Reason = f.Status
		}
	default:
		return onsale.RefundResult{}, fmt.Errorf("%w: refund %s is %.40s", payment.ErrPending, f.ID, f.Status)
	}
	return r, nil
}

// hasFailed reports whether no money is or stays paid back by it.
func (f *refund) hasFailed() bool { return f.Status == "failed" || f.Status == "canceled" }
