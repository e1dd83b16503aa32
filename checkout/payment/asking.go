package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"onsale"
)

var _ Provider = (*Client)(nil)

// Charge implements Provider.
func (c *Client) Charge(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error) {
	return c.change(ctx, charge, "charge", "v1/charges")
}

// Authorise implements Provider.
func (c *Client) Authorise(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error) {
	return c.change(ctx, charge, "authorise", "v1/authorisations")
}

// Capture implements Provider.
func (c *Client) Capture(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error) {
	return c.change(ctx, charge, "capture", "v1/charges", url.PathEscape(string(charge.Order)), "capture")
}

// Void implements Provider.
func (c *Client) Void(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error) {
	return c.change(ctx, charge, "void", "v1/charges", url.PathEscape(string(charge.Order)), "void")
}

// change asks for one of the things that a charge may become.
func (c *Client) change(ctx context.Context, charge onsale.Charge, what string, path ...string) (onsale.ChargeResult, error) {
	var answer chargeAnswer
	body, err := json.Marshal(ChargeRequest{
		Event: charge.Event, Amount: charge.Amount, Currency: charge.Currency, PaymentToken: charge.PaymentToken,
	})
	if err == nil {
		err = c.ask(ctx, http.MethodPost, c.base.JoinPath(path...), string(charge.Order), body, maxAnswerBytes, &answer)
	}
	if err == nil {
		err = answer.check(charge.Order)
	}
	if err != nil {
		return onsale.ChargeResult{}, fmt.Errorf("%s %s: %w", what, charge.Order, err)
	}
	return answer.result(), nil
}

// LookUp implements Provider.
func (c *Client) LookUp(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, bool, error) {
	var answer chargeAnswer
	err := c.ask(ctx, http.MethodGet, c.base.JoinPath("v1/charges", url.PathEscape(string(charge.Order))), "", nil, maxAnswerBytes, &answer)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.Code == CodeUnknownCharge:
		return onsale.ChargeResult{}, false, nil
	case err == nil:
		err = answer.check(charge.Order)
	}
	if err != nil {
		return onsale.ChargeResult{}, false, fmt.Errorf("look up charge %s: %w", charge.Order, err)
	}
	return answer.result(), answer.Outcome != onsale.ChargeAuthorised, nil
}

// Refund implements Provider.
func (c *Client) Refund(ctx context.Context, refund onsale.Refund) (onsale.RefundResult, error) {
	var result onsale.RefundResult
	body, err := json.Marshal(RefundRequest{
		Order: refund.Order, Reference: refund.Reference, Amount: refund.Amount, Currency: refund.Currency, Reason: refund.Reason,
	})
	if err == nil {
		err = c.ask(ctx, http.MethodPost, c.base.JoinPath("v1/refunds"), string(refund.ID), body, maxAnswerBytes, &result)
	}
	if err == nil {
		err = definiteRefund(result, refund.ID)
	}
	if err != nil {
		return onsale.RefundResult{}, fmt.Errorf("refund %s of %s: %w", refund.ID, refund.Order, err)
	}
	return result, nil
}

// LookUpRefund implements Provider.
func (c *Client) LookUpRefund(ctx context.Context, refund onsale.Refund) (onsale.RefundResult, bool, error) {
	var result onsale.RefundResult
	err := c.ask(ctx, http.MethodGet, c.base.JoinPath("v1/refunds", url.PathEscape(string(refund.ID))), "", nil, maxAnswerBytes, &result)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.Code == CodeUnknownRefund:
		return onsale.RefundResult{}, false, nil
	case err == nil:
		err = definiteRefund(result, refund.ID)
	}
	if err != nil {
		return onsale.RefundResult{}, false, fmt.Errorf("look up refund %s of %s: %w", refund.ID, refund.Order, err)
	}
	return result, true, nil
}

// Ledger implements Provider.
func (c *Client) Ledger(ctx context.Context, event onsale.EventID) ([]onsale.LedgerEntry, error) {
	var all []onsale.LedgerEntry
	query := url.Values{"event": {string(event)}}
	for {
		u := c.base.JoinPath("v1/ledger")
		u.RawQuery = query.Encode()
		var page LedgerPage
		if err := c.ask(ctx, http.MethodGet, u, "", nil, maxLedgerBytes, &page); err != nil {
			return nil, fmt.Errorf("ledger of %s: %w", event, err)
		}
		all = append(all, page.Entries...)
		if page.Next == "" {
			return all, nil
		}
		if len(page.Entries) == 0 {
			return nil, fmt.Errorf("ledger of %s: an empty page that is not the last", event)
		}
		query.Set("cursor", page.Next)
	}
}

// chargeAnswer is an onsale.ChargeResult whose amount may be missing: of 0 that must
// be told apart.
type chargeAnswer struct {
	onsale.ChargeResult
	Amount *int64 `json:"amount"`
}

func (a *chargeAnswer) check(order onsale.OrderID) error {
	switch {
	case a.Outcome == onsale.ChargeAuthorised && a.Order == order && a.Reference != "":
		return nil
	case a.Outcome == onsale.ChargeCaptured && a.Amount == nil:
		return errors.New("the answer says captured and not how much")
	}
	return definite(a.result(), order)
}

func (a *chargeAnswer) result() onsale.ChargeResult {
	r := a.ChargeResult
	if a.Amount != nil {
		r.Amount = *a.Amount
	}
	return r
}
