package stripe

import (
	"encoding/json"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// SignatureHeader carries the signature of a notice.
const SignatureHeader = "Stripe-Signature"

// notices reads Stripe's webhooks.
type notices struct {
	secret       []byte
	installation string
}

// NewNotices returns the reader of Stripe's webhooks. The secret is the endpoint's, as
// whsec_…; installation is Config's.
func NewNotices(secret []byte, installation string) payment.Notices {
	return notices{secret, installation}
}

// Header implements payment.Notices.
func (notices) Header() string { return SignatureHeader }

// Read implements payment.Notices. Three events decide an order: an intent has
// succeeded, failed or was cancelled. What they say is the intent as it was then, and
// each of the three is an end, so their order doesn't matter. Others say nothing that
// settlement must know, processing among them, however late it comes; nor does
// charge.refunded, since a refund's own answer decides it, and one that somebody made at
// Stripe shows in the ledger. An account's intents that are not ours are nobody's here.
func (n notices) Read(signature string, body []byte, now time.Time) (*onsale.ChargeResult, error) {
	if err := payment.VerifySignature(SignatureHeader, n.secret, signature, body, now); err != nil {
		return nil, err
	}
	var event struct {
		Type string `json:"type"`
		Data struct {
			Object json.RawMessage `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Type == "" {
		return nil, onsale.Refuse(onsale.CodeBadRequest, "the notice is not an event of Stripe's")
	}
	switch event.Type {
	case "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled":
	default:
		return nil, nil
	}
	var i intent
	if err := json.Unmarshal(event.Data.Object, &i); err != nil {
		return nil, onsale.Refuse(onsale.CodeBadRequest, "the notice's object is not an intent")
	}
	if i.belongsTo(i.Metadata[metaOrder], n.installation) != nil {
		return nil, nil
	}
	result, err := i.result()
	if err != nil || result.Outcome == onsale.ChargeAuthorised {
		return nil, nil // not decided: the worker's next look tells
	}
	return &result, nil
}
