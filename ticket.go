package onsale

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
)

// Ticket is one admission.
type Ticket struct {
	ID       TicketID  `json:"id"`
	Order    OrderID   `json:"order"`
	Event    EventID   `json:"event"`
	Section  string    `json:"section"`
	Seat     string    `json:"seat,omitempty"` // "" in a general section
	Code     string    `json:"code"`           // signed; a gate checks it offline
	IssuedAt time.Time `json:"issued_at"`
}

// A ticket code is two base64url texts joined by a '.': what the ticket admits
// to, and its Ed25519 signature (RFC 8032). Whoever has the public key can check
// it without asking anyone.

// TicketKey derives the key that signs ticket codes from the installation's
// secret, so that there is one secret to keep.
func TicketKey(secret []byte) ed25519.PrivateKey {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("onsale ticket key 1")) // hash.Hash never returns an error
	return ed25519.NewKeyFromSeed(mac.Sum(nil))
}

// Sign sets the ticket's code.
func (t *Ticket) Sign(key ed25519.PrivateKey) {
	text := strings.Join([]string{string(t.ID), string(t.Event), t.Section, t.Seat}, "\n")
	t.Code = base64.RawURLEncoding.EncodeToString([]byte(text)) + "." +
		base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

// VerifyCode returns what a ticket code admits to. ok is false if the code was
// not signed with the key that belongs to public.
func VerifyCode(public ed25519.PublicKey, code string) (t Ticket, ok bool) {
	head, tail, _ := strings.Cut(code, ".")
	text, err1 := base64.RawURLEncoding.DecodeString(head)
	signature, err2 := base64.RawURLEncoding.DecodeString(tail)
	if err1 != nil || err2 != nil || !ed25519.Verify(public, text, signature) {
		return Ticket{}, false
	}
	parts := strings.Split(string(text), "\n")
	if len(parts) != 4 {
		return Ticket{}, false
	}
	return Ticket{ID: TicketID(parts[0]), Event: EventID(parts[1]), Section: parts[2], Seat: parts[3], Code: code}, true
}
