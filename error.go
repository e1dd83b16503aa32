package onsale

import (
	"errors"
	"time"
)

// Code is the stable name of a refusal: clients, metrics and tests tell
// refusals apart by it, never by the text.
type Code string

// The codes, with the HTTP status the front tier answers.
const (
	CodeBadRequest       Code = "bad_request"        // 400: not JSON, unknown field, wrong type
	CodeBadQuantity      Code = "bad_quantity"       // 400: below 1 or above what one hold may have
	CodeUnauthenticated  Code = "unauthenticated"    // 401: no token, malformed, forged or expired
	CodeForbidden        Code = "forbidden"          // 403: an operator's route without an operator's token
	CodeNotFound         Code = "not_found"          // 404: no such route
	CodeUnknownEvent     Code = "unknown_event"      // 404
	CodeUnknownSection   Code = "unknown_section"    // 404
	CodeUnknownSeat      Code = "unknown_seat"       // 404
	CodeUnknownHold      Code = "unknown_hold"       // 404: never was, or is someone else's
	CodeUnknownOrder     Code = "unknown_order"      // 404: never was, or is someone else's
	CodeUnknownContact   Code = "unknown_contact"    // 404: the buyer has given no address
	CodeUnknownWebhook   Code = "unknown_webhook"    // 404
	CodeUnknownDelivery  Code = "unknown_delivery"   // 404
	CodeUnknownTicket    Code = "unknown_ticket"     // 404: never was, or is someone else's
	CodeUnknownTransfer  Code = "unknown_transfer"   // 404: no ticket was ever offered under the token
	CodeMethodNotAllowed Code = "method_not_allowed" // 405
	CodeWebhookExists    Code = "webhook_exists"     // 409: another webhook has the URL
	CodeWebhookLimit     Code = "webhook_limit"      // 409: there are as many as there may be
	CodeEventExists      Code = "event_exists"       // 409: another event has the id
	CodeSoldOut          Code = "sold_out"           // 409: fewer left than asked for; says how many
	CodeSeatTaken        Code = "seat_taken"         // 409: says which seats
	CodeNotTogether      Code = "not_together"       // 409: enough are left, but not next to each other
	CodeAccessible       Code = "accessible_only"    // 409: wheelchair and companion seats, kept for those who ask for them
	CodeTooOften         Code = "too_often"          // 429: too many holds in a minute; Retry-After
	CodeNotExtendable    Code = "not_extendable"     // 409: the event allows no extension, or it was used
	CodeBuyerLimit       Code = "buyer_limit"        // 409: more than one buyer may have; says how many are left to them
	CodeNotOnSale        Code = "not_on_sale"        // 409: draft, paused or closed
	CodeHoldPinned       Code = "hold_pinned"        // 409: a payment is being decided, it can't be released
	CodeBadTransition    Code = "bad_transition"     // 409: the event or order can't go there from where it is
	CodeNotRefundable    Code = "not_refundable"     // 409: nothing of it is left to pay back, or another refund of it is under way
	CodeAmbiguousRefund  Code = "ambiguous_refund"   // 409: more than one payment could be meant; says which
	CodeTicketVoid       Code = "ticket_void"        // 409: refunded
	CodeTicketBlocked    Code = "ticket_blocked"     // 409: a refund of it is under way
	CodeTicketReissued   Code = "ticket_reissued"    // 409: at the gate: the ticket has a newer code
	CodeAlreadyAdmitted  Code = "already_admitted"   // 409: single use; at the gate it says when and where the first was
	CodeOtherEvent       Code = "other_event"        // 409: at the gate: a ticket of another event; says which
	CodeTransferLimit    Code = "transfer_limit"     // 409: the ticket was offered too many times
	CodeTransferEnded    Code = "transfer_ended"     // 410: accepted by someone, cancelled or expired
	CodeHoldEnded        Code = "hold_ended"         // 410: expired, released or sold
	CodeTooLarge         Code = "too_large"          // 413: the body exceeds the limit
	CodeKeyReused        Code = "key_reused"         // 422: another body under the same Idempotency-Key
	CodeForgedCode       Code = "forged_code"        // 422: not a ticket's code, or not signed here
	CodeBadEvent         Code = "bad_event"          // 422: an event file that can't be sold; says why
	CodeOverloaded       Code = "overloaded"         // 503: a bounded queue is full; Retry-After
	CodeRecovering       Code = "recovering"         // 503: stock is being rebuilt; Retry-After
	CodeUnavailable      Code = "unavailable"        // 503: a store didn't answer; Retry-After
	CodeInternal         Code = "internal"           // 500: a defect
)

// Error is a refusal with a stable code. Detail tells a person what to do next;
// the other fields are what a client needs to do it.
type Error struct {
	Code       Code          `json:"code"`
	Detail     string        `json:"detail"`
	Section    string        `json:"section,omitempty"`   // which section refused
	Seats      []string      `json:"seats,omitempty"`     // which seats were taken, as "ROW-NUMBER"
	Available  *int64        `json:"available,omitempty"` // what is left: of the section, or to the buyer
	Nearby     []Offer       `json:"nearby,omitempty"`    // what could be had instead, nearest first, when it was last looked
	First      *Checkin      `json:"first,omitempty"`     // how the ticket was admitted before
	Payments   []string      `json:"payments,omitempty"`  // the references of the payments that could be meant
	RetryAfter time.Duration `json:"-"`                   // advice on 429 and 503
	cause      error
}

// Offer is what could be had instead of what was refused: seats that touch, or a section
// with so many available.
type Offer struct {
	Section   string   `json:"section"`
	Available int64    `json:"available"`       // in the section
	Seats     []string `json:"seats,omitempty"` // "ROW-NUMBER"
}

// Refuse returns an error with a code and a message to a person.
func Refuse(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// Busy returns a refusal that asks to come back after the given time, because of cause.
func Busy(code Code, detail string, after time.Duration, cause error) *Error {
	return &Error{Code: code, Detail: detail, RetryAfter: after, cause: cause}
}

// Error implements error.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Detail
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns what caused the refusal, if anything did.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is compare by code alone.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// CodeOf returns the code of err: the code of the Error in its chain,
// CodeInternal for any other error, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
