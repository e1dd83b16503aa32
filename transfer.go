package onsale

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"time"
)

// TransferState is what has become of an offer of a ticket.
type TransferState string

// The states of a transfer: an offer ends in one of the others.
const (
	TransferOffered   TransferState = "offered"
	TransferAccepted  TransferState = "accepted"  // the ticket is its new owner's, under a new code
	TransferCancelled TransferState = "cancelled" // by the owner, or by a newer offer of the same ticket
	TransferExpired   TransferState = "expired"   // nobody took it in time
)

// Transfer is the offer of a ticket to whoever has its token.
type Transfer struct {
	Ticket    TicketID      `json:"ticket"`
	State     TransferState `json:"state"`
	Token     TransferToken `json:"token"`
	OfferedAt time.Time     `json:"offered_at"`
	ExpiresAt time.Time     `json:"expires_at"`
}

// TransferToken is what a ticket is claimed with, "trf_…": it is told to the owner
// alone, and kept by nobody but those they tell. The book knows its hash.
type TransferToken string

const transferPrefix = "trf_"

// NewTransferToken returns a token that can't be guessed.
func NewTransferToken() TransferToken { return TransferToken(transferPrefix + randomText()) }

// DeriveTransferToken returns the token of the offer that a ticket's owner makes
// under an idempotency key: a repeat has the same one, though nobody has kept it.
func DeriveTransferToken(secret []byte, ticket TicketID, owner BuyerID, key string) TransferToken {
	mac := hmac.New(sha256.New, secret)
	// The key is last, and 0 occurs in none of what precedes it.
	mac.Write([]byte("transfer\x00" + string(ticket) + "\x00" + string(owner) + "\x00" + key)) // never fails
	return TransferToken(transferPrefix + encoding.EncodeToString(mac.Sum(nil)[:randomBytes]))
}

// Valid reports whether the token has a transfer's form.
func (t TransferToken) Valid() bool {
	text, ok := strings.CutPrefix(string(t), transferPrefix)
	return ok && isRandom(text)
}

// Hash is what the book keeps of the token. It needs no salt: nobody guesses 128 random bits.
func (t TransferToken) Hash() []byte {
	sum := sha256.Sum256([]byte(t))
	return sum[:]
}
