package payment

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"onsale"
)

// SignatureHeader carries a notice's signature, as signature.go says.
const SignatureHeader = "Onsale-Signature"

// Webhook is the provider's notice of a definite outcome of a charge, or of a refund that
// has failed after it was made: PaymentWebhook in openapi.yaml. It may come never, late, or
// more than once.
type Webhook struct {
	ID        string               `json:"id"` // the notice's own; the same in each repeat
	Order     onsale.OrderID       `json:"order"`
	Outcome   onsale.ChargeOutcome `json:"outcome,omitempty"`
	Refund    onsale.RefundID      `json:"refund,omitempty"` // then there is no outcome
	Reference string               `json:"reference,omitempty"`
	Amount    int64                `json:"amount"` // minor units; below 0 if the notice says none
	Currency  string               `json:"currency,omitempty"`
	Reason    string               `json:"reason,omitempty"`
	At        time.Time            `json:"at,omitzero"`
}

// noAmount is the amount of a notice that says none: of 0 it must be told apart,
// since what a captured one leaves out would count as the wrong amount.
const noAmount = -1

// UnmarshalJSON refuses fields that a notice doesn't have.
func (w *Webhook) UnmarshalJSON(text []byte) error {
	type plain Webhook // without this method
	notice := plain{Amount: noAmount}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&notice); err != nil {
		return err
	}
	*w = Webhook(notice)
	return nil
}

// Result returns what the notice says, in the words that the rest of Onsale
// knows. It refuses, as a bad request, a notice that says nothing definite, and one
// of a capture that doesn't say how much money was taken.
func (w Webhook) Result() (onsale.ChargeResult, error) {
	event, _, ok := w.Order.Parse()
	if !ok {
		return onsale.ChargeResult{}, onsale.Refuse(onsale.CodeBadRequest, "the notice names no order")
	}
	if w.Outcome == onsale.ChargeCaptured && (w.Amount < 0 || w.Currency == "") {
		return onsale.ChargeResult{}, onsale.Refuse(onsale.CodeBadRequest, "a notice of a capture has an amount and a currency")
	}
	r := onsale.ChargeResult{
		Order: w.Order, Event: event, Outcome: w.Outcome, Reference: w.Reference,
		Amount: max(0, w.Amount), Currency: w.Currency, Reason: w.Reason, At: w.At,
	}
	if err := definite(r, w.Order); err != nil {
		return onsale.ChargeResult{}, onsale.Refuse(onsale.CodeBadRequest, err.Error())
	}
	return r, nil
}

// SignWebhook returns the value of SignatureHeader for a body that is sent now.
func SignWebhook(secret, body []byte, now time.Time) string { return sign(secret, body, now) }

// VerifyWebhook returns nil if the header is the signature of the raw body by
// whoever knows the secret, made within five minutes of now. Otherwise it refuses
// with onsale.CodeUnauthenticated. A signature that passes may be a repeat.
func VerifyWebhook(secret []byte, header string, body []byte, now time.Time) error {
	if strings.Count(header, "v1=") > 1 {
		return onsale.Refuse(onsale.CodeUnauthenticated, SignatureHeader+": "+errNoSignature.Error())
	}
	return VerifySignature(SignatureHeader, secret, header, body, now)
}

// webhooks reads the notices of whoever speaks wire.go's words.
type webhooks struct{ secret []byte }

// NewWebhooks returns the reader of the notices that SignWebhook signs.
func NewWebhooks(secret []byte) Notices { return webhooks{secret} }

// Header implements Notices.
func (webhooks) Header() string { return SignatureHeader }

// Read implements Notices.
func (w webhooks) Read(signature string, body []byte, now time.Time) (Notice, error) {
	if err := VerifyWebhook(w.secret, signature, body, now); err != nil {
		return Notice{}, err
	}
	var notice Webhook
	if err := json.Unmarshal(body, &notice); err != nil {
		return Notice{}, onsale.Refuse(onsale.CodeBadRequest, "the notice is not what PaymentWebhook in openapi.yaml says: "+err.Error())
	}
	if notice.Refund != "" {
		return notice.ofRefund()
	}
	result, err := notice.Result()
	if err != nil {
		return Notice{}, err
	}
	return Notice{Charge: &result}, nil
}

func (w Webhook) ofRefund() (Notice, error) {
	if _, _, ok := w.Order.Parse(); !ok || !w.Refund.Valid() || w.Outcome != "" {
		return Notice{}, onsale.Refuse(onsale.CodeBadRequest, "a notice of a refund names its order and it, and has no outcome")
	}
	return Notice{Refund: w.Refund}, nil
}
