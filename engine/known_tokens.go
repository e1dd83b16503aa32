package engine

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"onsale"
)

// knownSlots is how many tokens are remembered: some 48 MB when all are taken. With a quarter of
// them a crowd of 20,000 gets in its own way so often that it gains nothing.
const knownSlots = 1 << 17

// knownTokens remembers genuine tokens: a buyer shows the same one with every request, and a
// look here costs half of the signature's check. A token has one slot, and whoever comes to it
// later has it. The zero value is ready; safe for concurrent use.
type knownTokens struct {
	slots [knownSlots]atomic.Pointer[knownToken]
}

type knownToken struct {
	token string
	hash  uint64
	buyer onsale.BuyerID
	until time.Time
}

var tokenSeed = maphash.MakeSeed()

// find returns whose token it is, if it is remembered and not expired.
func (k *knownTokens) find(token []byte, now time.Time) (onsale.BuyerID, bool) {
	hash := maphash.Bytes(tokenSeed, token)
	known := k.slots[hash%knownSlots].Load()
	// Whoever tries tokens never comes to the comparison, whose time would tell how much is right.
	if known == nil || known.hash != hash || known.token != string(token) || !now.Before(known.until) {
		return "", false
	}
	return known.buyer, true
}

// keep remembers a genuine token.
func (k *knownTokens) keep(token []byte, buyer onsale.BuyerID, until time.Time) {
	hash := maphash.Bytes(tokenSeed, token)
	k.slots[hash%knownSlots].Store(&knownToken{string(token), hash, buyer, until})
}
