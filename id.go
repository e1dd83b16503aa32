package onsale

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"hash"
	"strconv"
	"strings"
	"sync"
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
	randomLength = 26 // of its text
)

// encoding is Crockford's base 32 in lower case: no i, l, o or u to misread.
// Source: https://www.crockford.com/base32.html
var encoding = base32.NewEncoding(crockford).WithPadding(base32.NoPadding)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// letters are those of crockford, a bit each. Ids are looked at with every request.
var letters = func() (set [256]bool) {
	for _, c := range []byte(crockford) {
		set[c] = true
	}
	return set
}()

// isRandom reports whether the text is what randomText writes.
func isRandom(text string) bool {
	if len(text) != randomLength {
		return false
	}
	for i := range len(text) {
		if !letters[text[i]] {
			return false
		}
	}
	return true
}

// Valid reports whether the id has an event's form: 1 to 48 of a–z, 0–9 and '-', which
// is neither its first nor its last.
func (id EventID) Valid() bool {
	if len(id) < 1 || len(id) > 48 || id[0] == '-' || id[len(id)-1] == '-' {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// NewBuyerID returns a fresh buyer id of 128 random bits.
func NewBuyerID() BuyerID { return BuyerID(buyerPrefix + randomText()) }

// Valid reports whether the id has a buyer's form.
func (id BuyerID) Valid() bool {
	text, ok := strings.CutPrefix(string(id), buyerPrefix)
	return ok && isRandom(text)
}

// NewHoldID returns the id of a hold that a request without an idempotency key asks for.
func NewHoldID(event EventID, epoch Epoch) HoldID {
	return holdID(event, epoch, randomText())
}

// HoldIDs derives hold ids under a secret. Safe for concurrent use.
type HoldIDs struct {
	macs sync.Pool // of *keyedMAC
}

// keyedMAC is what deriving an id needs, to be used again.
type keyedMAC struct {
	mac  hash.Hash
	text []byte
}

// NewHoldIDs returns what derives hold ids under a secret.
func NewHoldIDs(secret []byte) *HoldIDs {
	return &HoldIDs{macs: sync.Pool{New: func() any { return &keyedMAC{mac: hmac.New(sha256.New, secret)} }}}
}

// Derive returns the id of the hold that buyer asks for under an
// idempotency key. The same key always names the same hold of an epoch, which
// is what makes a repeated request find its first effect, with nothing to store.
// The secret keeps the id from being guessed by someone who knows both.
func (d *HoldIDs) Derive(event EventID, epoch Epoch, buyer BuyerID, key string) HoldID {
	m, _ := d.macs.Get().(*keyedMAC)
	defer d.macs.Put(m)
	// The lengths are fixed or the separator can't occur in what precedes it.
	m.text = append(append(append(m.text[:0], "hold\x00"...), event...), 0)
	m.text = append(append(append(m.text, buyer...), 0), key...)
	m.mac.Reset()
	m.mac.Write(m.text) // never fails
	m.text = m.mac.Sum(m.text[:0])
	var random [randomLength]byte
	encoding.Encode(random[:], m.text[:randomBytes])
	return holdID(event, epoch, string(random[:]))
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

// Parse returns the order and the number, from 1, of the admission that the id names.
// ok is false if the id has not a ticket's form.
func (id TicketID) Parse() (order OrderID, number int, ok bool) {
	text, ok := strings.CutPrefix(string(id), ticketPrefix)
	at := strings.LastIndexByte(text, '_')
	if !ok || at < 0 {
		return "", 0, false
	}
	number, err := strconv.Atoi(text[at+1:])
	order = OrderID(orderPrefix + text[:at])
	if _, _, isOrder := order.Parse(); !isOrder || err != nil || number < 1 || order.Ticket(number) != id {
		return "", 0, false
	}
	return order, number, true
}

// parts are what the id is made of. It must be an order's.
func (id OrderID) parts() (event EventID, epoch Epoch, random [randomBytes]byte) {
	event, epoch, _ = id.Parse()
	_, _ = encoding.Decode(random[:], []byte(id[len(id)-randomLength:])) // Parse has seen that it can be
	return event, epoch, random
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
	if !ok || err != nil || !isRandom(random) {
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
