package stripe

import (
	"encoding/json"
	"slices"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// SignatureHeader carries the signature of a notice.
const SignatureHeader = "Stripe-Signature"

// The events that an endpoint at Stripe should be told of (README.md); what else it is told
// says nothing.
var (
	intentEvents = []string{"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled"}
	refundEvents = []string{"refund.failed", "refund.updated", "charge.refund.updated"}
)

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
// each of the three is an end, so their order doesn't matter. A refund that has failed says
// so in three (by the endpoint's version: refund.failed and refund.updated are sent of all
// refunds since 2024-10-28, charge.refund.updated before), of which any will do: Stripe is
// asked what has become of it. Others say nothing that settlement must know, processing
// among them, however late it comes; nor does charge.refunded, since a refund's own answer
// decides it, and one that somebody made at Stripe shows in the ledger. What an account has
// that is not ours is nobody's here.
func (n notices) Read(signature string, body []byte, now time.Time) (payment.Notice, error) {
	if err := payment.VerifySignature(SignatureHeader, n.secret, signature, body, now); err != nil {
		return payment.Notice{}, err
	}
	var event struct {
		Type string `json:"type"`
		Data struct {
			Object json.RawMessage `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Type == "" {
		return payment.Notice{}, onsale.Refuse(onsale.CodeBadRequest, "the notice is not an event of Stripe's")
	}
	switch {
	case slices.Contains(intentEvents, event.Type):
		return n.ofIntent(event.Data.Object)
	case slices.Contains(refundEvents, event.Type):
		return n.ofRefund(event.Data.Object)
	}
	return payment.Notice{}, nil
}

func (n notices) ofIntent(object []byte) (payment.Notice, error) {
	var i intent
	if err := json.Unmarshal(object, &i); err != nil {
		return payment.Notice{}, onsale.Refuse(onsale.CodeBadRequest, "the notice's object is not an intent")
	}
	if i.belongsTo(i.Metadata[metaOrder], n.installation) != nil {
		return payment.Notice{}, nil
	}
	result, err := i.result()
	if err != nil || result.Outcome == onsale.ChargeAuthorised {
		return payment.Notice{}, nil // not decided: the worker's next look tells
	}
	return payment.Notice{Charge: &result}, nil
}

// ofRefund takes those alone that have failed: all else the answer to the request said.
func (n notices) ofRefund(object []byte) (payment.Notice, error) {
	var r refund
	if err := json.Unmarshal(object, &r); err != nil {
		return payment.Notice{}, onsale.Refuse(onsale.CodeBadRequest, "the notice's object is not a refund")
	}
	id := onsale.RefundID(r.Metadata[metaRefund])
	if r.Metadata[metaInstallation] != n.installation || !id.Valid() || !r.hasFailed() {
		return payment.Notice{}, nil
	}
	return payment.Notice{Refund: id}, nil
}
