package onsale

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Identifiers carry what is needed to route them: a hold, an order and a ticket
// name their event and the epoch they were issued in, so that any process can
// find the right Redis keys, and refuse what an old epoch issued, without a
// look-up. What follows is 128 bits that can't be guessed.
//
//	event   concert-2027
//	buyer   buy_4r0j…
//	hold    hld_concert-2027_1_4r0j…
//	order   ord_concert-2027_1_4r0j…      (its hold's, under another prefix)
//	ticket  tkt_concert-2027_1_4r0j…_2    (the order's second admission)
type (
	// EventID names an event: 1 to 48 of a–z, 0–9 and '-', chosen by the operator.
	EventID string
	// BuyerID is an opaque buyer: it says nothing about the person.
	BuyerID string
	// HoldID names a hold, with its event and epoch.
	HoldID string
	// OrderID names an order; it is derived from the hold, so that a repeated
	// checkout of one hold is the same order.
	OrderID string
	// TicketID names one admission of an order.
	TicketID string
)

// Epoch rises whenever Redis may have lost state; it fences everything that was
// issued before. The first is 1.
type Epoch uint64

const (
	buyerPrefix  = "buy_"
	holdPrefix   = "hld_"
	orderPrefix  = "ord_"
	ticketPrefix = "tkt_"
	randomBytes  = 16
)

var (
	eventPattern  = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$`)
	randomPattern = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{26}$`)

	// encoding is Crockford's base 32 in lower case: no i, l, o or u to misread.
	// Source: https://www.crockford.com/base32.html
	encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
)

// Valid reports whether the id has an event's form.
func (id EventID) Valid() bool { return eventPattern.MatchString(string(id)) }

// NewBuyerID returns a fresh buyer id of 128 random bits.
func NewBuyerID() BuyerID { return BuyerID(buyerPrefix + randomText()) }

// Valid reports whether the id has a buyer's form.
func (id BuyerID) Valid() bool {
	text, ok := strings.CutPrefix(string(id), buyerPrefix)
	return ok && randomPattern.MatchString(text)
}

// NewHoldID returns the id of a hold that a request without an idempotency key asks for.
func NewHoldID(event EventID, epoch Epoch) HoldID {
	return holdID(event, epoch, randomText())
}

// DeriveHoldID returns the id of the hold that buyer asks for under an
// idempotency key. The same key always names the same hold of an epoch, which
// is what makes a repeated request find its first effect, with nothing to store.
// The secret keeps the id from being guessed by someone who knows both.
func DeriveHoldID(secret []byte, event EventID, epoch Epoch, buyer BuyerID, key string) HoldID {
	mac := hmac.New(sha256.New, secret)
	// The lengths are fixed or the separator can't occur in what precedes it.
	fmt.Fprintf(mac, "hold\x00%s\x00%s\x00%s", event, buyer, key)
	return holdID(event, epoch, encoding.EncodeToString(mac.Sum(nil)[:randomBytes]))
}

func holdID(event EventID, epoch Epoch, random string) HoldID {
	return HoldID(holdPrefix + string(event) + "_" + strconv.FormatUint(uint64(epoch), 36) + "_" + random)
}

// Parse returns the event and the epoch that the id names. ok is false if the
// id has not a hold's form.
func (id HoldID) Parse() (event EventID, epoch Epoch, ok bool) {
	return parseScoped(string(id), holdPrefix)
}

// In returns the id that the same request would have in another epoch.
func (id HoldID) In(epoch Epoch) HoldID {
	event, _, _ := id.Parse()
	return holdID(event, epoch, string(id[strings.LastIndexByte(string(id), '_')+1:]))
}

// Order returns the id of the only order this hold can become.
func (id HoldID) Order() OrderID {
	return OrderID(orderPrefix + strings.TrimPrefix(string(id), holdPrefix))
}

// Parse returns the event and the epoch that the id names. ok is false if the
// id has not an order's form.
func (id OrderID) Parse() (event EventID, epoch Epoch, ok bool) {
	return parseScoped(string(id), orderPrefix)
}

// Hold returns the id of the hold that became this order.
func (id OrderID) Hold() HoldID {
	return HoldID(holdPrefix + strings.TrimPrefix(string(id), orderPrefix))
}

// Ticket returns the id of the order's n-th admission, counted from 1.
func (id OrderID) Ticket(n int) TicketID {
	return TicketID(ticketPrefix + strings.TrimPrefix(string(id), orderPrefix) + "_" + strconv.Itoa(n))
}

func parseScoped(id, prefix string) (EventID, Epoch, bool) {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return "", 0, false
	}
	event, rest, ok := strings.Cut(text, "_")
	if !ok || !EventID(event).Valid() {
		return "", 0, false
	}
	number, random, ok := strings.Cut(rest, "_")
	epoch, err := strconv.ParseUint(number, 36, 64)
	if !ok || err != nil || !randomPattern.MatchString(random) {
		return "", 0, false
	}
	return EventID(event), Epoch(epoch), true
}

// randomText is 128 random bits as 26 characters. crypto/rand never fails: it
// ends the process rather than return predictable bytes.
func randomText() string {
	var b [randomBytes]byte
	rand.Read(b[:])
	return encoding.EncodeToString(b[:])
}
