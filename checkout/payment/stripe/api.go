package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"onsale/checkout/payment"
)

const (
	// apiVersion is the version of Stripe's API whose words these are.
	apiVersion = "2024-06-20"
	// maxAnswerBytes is the largest answer: a page of a hundred intents.
	maxAnswerBytes = 4 << 20
	// replayedHeader is true on an answer that a key was given before.
	replayedHeader = "Idempotent-Replayed"
)

// api asks Stripe one thing at a time. It never asks again by itself.
type api struct {
	base       *url.URL
	key        string
	answerTime time.Duration
	http       *http.Client
}

// call sends a request and reads its answer into out; replayed says that the answer is
// that of an earlier request under the key, and so may be out of date. Whatever is not a
// whole 200 is an error, an *apiError if Stripe says why.
func (a *api) call(ctx context.Context, method, path string, form url.Values, key string, out any) (replayed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.answerTime)
	defer cancel()
	u, body := a.base.JoinPath(path), io.Reader(http.NoBody)
	if method == http.MethodGet {
		u.RawQuery = form.Encode()
	} else {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return false, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Stripe-Version", apiVersion)
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return false, fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return false, fmt.Errorf("read answer: %w", err)
	case len(answer) > maxAnswerBytes:
		return false, fmt.Errorf("answer exceeds %d bytes", maxAnswerBytes)
	case resp.StatusCode != http.StatusOK:
		return false, newAPIError(resp, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return false, fmt.Errorf("decode answer: %w", err)
	}
	return isReplayed(resp), nil
}

// stripeError is what Stripe calls an error, as an answer and as the end of an intent.
type stripeError struct {
	Type        string `json:"type"`
	Code        string `json:"code"`
	DeclineCode string `json:"decline_code"` // the bank's reason
	Param       string `json:"param"`
}

// The types of errors that mean something here.
const (
	typeCardError      = "card_error"            // the bank, or Stripe for it, declines
	typeInvalidRequest = "invalid_request_error" // what was asked makes no sense
)

// reason is why a charge was declined, in Stripe's words.
func (e stripeError) reason() string {
	if e.DeclineCode != "" {
		return e.DeclineCode
	}
	return e.Code
}

// apiError is an answer that is not a 200. Stripe's message is left out: it may quote
// what was sent.
type apiError struct {
	status   int
	replayed bool // it was the answer to an earlier request under the key
	stripeError
}

func newAPIError(resp *http.Response, body []byte) error {
	var answer struct {
		Error stripeError `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error.Type == "" {
		return fmt.Errorf("answered %d, and not in Stripe's words", resp.StatusCode)
	}
	return &apiError{resp.StatusCode, isReplayed(resp), answer.Error}
}

func isReplayed(resp *http.Response) bool { return resp.Header.Get(replayedHeader) == "true" }

// Error implements error.
func (e *apiError) Error() string {
	return fmt.Sprintf("answered %d %.40s %.60s %.60s", e.status, e.Type, e.Code, e.Param)
}

// Unwrap implements errors.Unwrap.
func (e *apiError) Unwrap() error {
	if e.forGood() {
		return payment.ErrRefused
	}
	return nil
}

// curable are the codes of refusals that a person can end, at Stripe or in our
// configuration, after which the same request works.
var curable = map[string]bool{
	"balance_insufficient": true, "livemode_mismatch": true, "testmode_charges_only": true, "account_invalid": true,
	"platform_api_key_expired": true, "secret_key_required": true, "tls_version_unsupported": true, "lock_timeout": true,
	"payment_intent_unexpected_state": true, // which is a reason to look
}

// forGood reports whether the request can never work. A 401, 403 or 404 may be our
// key's fault; a 409 or 429 is about when. An idempotency_error means that the key was
// used for something else, so that what was asked for may well exist.
func (e *apiError) forGood() bool {
	if e.status != http.StatusBadRequest && e.status != http.StatusPaymentRequired && e.status != http.StatusUnprocessableEntity {
		return false
	}
	return e.Type == typeInvalidRequest && !curable[e.Code]
}

var errNotOurs = errors.New("the answer is about something else")
