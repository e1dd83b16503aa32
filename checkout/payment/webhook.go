package payment

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

const (
	// SignatureHeader carries a notice's signature:
	// t=<unix seconds>,v1=<hex HMAC-SHA256 of t + "." + the raw body>.
	SignatureHeader = "Onsale-Signature"
	// webhookTolerance is how far a notice's time may be from ours: what is older
	// may have been recorded and sent again by someone else.
	webhookTolerance = 5 * time.Minute
)

// Webhook is the provider's notice of a definite outcome: PaymentWebhook in
// openapi.yaml. It may come never, late, or more than once.
type Webhook struct {
	ID        string               `json:"id"` // the notice's own; the same in each repeat
	Order     onsale.OrderID       `json:"order"`
	Outcome   onsale.ChargeOutcome `json:"outcome"`
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
func SignWebhook(secret, body []byte, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(webhookMAC(secret, t, body))
}

// VerifyWebhook returns nil if the header is the signature of the raw body by
// whoever knows the secret, made within five minutes of now. Otherwise it refuses
// with onsale.CodeUnauthenticated. A signature that passes may be a repeat: the
// notice's id, and the order's state, tell.
func VerifyWebhook(secret []byte, header string, body []byte, now time.Time) error {
	if len(secret) == 0 {
		// Anyone can sign with an empty secret.
		return onsale.Refuse(onsale.CodeUnauthenticated, "no webhook secret is configured")
	}
	t, mac, err := parseSignature(header)
	if err != nil {
		return onsale.Refuse(onsale.CodeUnauthenticated, SignatureHeader+": "+err.Error())
	}
	// The signature first: the time of an unsigned header says nothing.
	if !hmac.Equal(mac, webhookMAC(secret, t, body)) {
		return onsale.Refuse(onsale.CodeUnauthenticated, SignatureHeader+": the signature does not match the body")
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return onsale.Refuse(onsale.CodeUnauthenticated, SignatureHeader+": t is not a time in seconds")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > webhookTolerance {
		return onsale.Refuse(onsale.CodeUnauthenticated,
			fmt.Sprintf("%s: signed more than %s from now", SignatureHeader, webhookTolerance))
	}
	return nil
}

// parseSignature takes a header apart. Fields that it does not know are left to
// later versions; t and v1 must occur exactly once.
func parseSignature(header string) (t string, mac []byte, err error) {
	fields := map[string]string{}
	for field := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(field, "=")
		if _, twice := fields[name]; !ok || twice {
			return "", nil, errors.New("write it as t=…,v1=…")
		}
		fields[name] = value
	}
	mac, err = hex.DecodeString(fields["v1"])
	if err != nil || len(mac) != sha256.Size || fields["t"] == "" {
		return "", nil, errors.New("write it as t=…,v1=…")
	}
	return fields["t"], mac, nil
}

func webhookMAC(secret []byte, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t)) // hash.Hash never returns an error
	mac.Write([]byte("."))
	mac.Write(body)
	return mac.Sum(nil)
}
