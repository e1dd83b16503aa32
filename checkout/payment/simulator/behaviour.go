package simulator

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"onsale"
)

// maxDelay is the longest that a charge may be told to take.
const maxDelay = time.Minute

// Behaviour says how often a simulator misbehaves, each as a probability from 0
// to 1. What happens to an order depends on the seed and the order alone, not on
// when it comes or what came before.
//
// A charge's payment token overrides it:
//
//	tok_ok          is captured and answered
//	tok_decline     is declined
//	tok_delay_<ms>  is captured after so many milliseconds
//	tok_timeout     is captured and never answered; asked again, it is answered
//	tok_twice       is captured and answered, and its webhook comes twice
//	tok_error       fails before charging the first time, then is captured
//	tok_broken      is captured, then answered with a 500; asked again, it is answered
//	tok_invalid     is refused for good, as a token that nobody issued
//
// and these are captured at once, and misbehave when they are paid back:
//
//	tok_refund_timeout  is paid back and never answered; asked again, it is answered
//	tok_refund_error    fails before paying back the first time, then is paid back
//	tok_refund_broken   is paid back, then answered with a 500; asked again, it is answered
//	tok_refund_refused  is never paid back, as a charge that is disputed
//	tok_refund_failed   is paid back, and the bank sends it back: looked up, it has failed
//
// Voids and refunds fail, are never answered and are broken as often as charges.
type Behaviour struct {
	Seed    uint64  `json:"seed"`
	DelayMs int64   `json:"delay_ms"` // how long each charge takes
	Decline float64 `json:"decline"`  // declined
	Error   float64 `json:"error"`    // fails before charging; drawn anew for each attempt
	Timeout float64 `json:"timeout"`  // charges and never answers
	Broken  float64 `json:"broken"`   // charges and answers with a 500
	Twice   float64 `json:"twice"`    // sends its webhook twice
}

func (b Behaviour) check() error {
	for name, p := range map[string]float64{
		"decline": b.Decline, "error": b.Error, "timeout": b.Timeout, "broken": b.Broken, "twice": b.Twice,
	} {
		if !(p >= 0 && p <= 1) { // not p < 0 || p > 1: NaN is none either
			return fmt.Errorf("behaviour: %s must be a probability from 0 to 1", name)
		}
	}
	if b.DelayMs < 0 || b.DelayMs > maxDelay.Milliseconds() {
		return fmt.Errorf("behaviour: delay_ms must be from 0 to %d", maxDelay.Milliseconds())
	}
	return nil
}

// then is what a charge's client gets once the charge is on record.
type then int

const (
	thenAnswer  then = iota // the truth
	thenSilence             // nothing, ever
	thenFail                // a 500
)

// fate is what shall happen to one charge.
type fate struct {
	failBefore bool // nothing else happens
	delay      time.Duration
	outcome    onsale.ChargeOutcome
	reason     string // why it is declined, or a refund refused
	then       then
	notices    int // how often its webhook is sent
}

func captured() fate { return fate{outcome: onsale.ChargeCaptured, notices: 1} }

func declined(reason string) fate {
	return fate{outcome: onsale.ChargeDeclined, reason: reason, notices: 1}
}

// fate decides what happens to a charge that has failed so many times before.
func (b Behaviour) fate(order onsale.OrderID, token string, failures int) fate {
	f := captured()
	ms, isDelay := strings.CutPrefix(token, "tok_delay_")
	switch {
	case token == "tok_ok" || strings.HasPrefix(token, "tok_refund_"):
	case token == "tok_decline":
		return declined("card_declined")
	case isDelay:
		n, err := strconv.ParseUint(ms, 10, 32)
		if err != nil || int64(n) > maxDelay.Milliseconds() {
			return declined("invalid_token")
		}
		f.delay = time.Duration(n) * time.Millisecond
	case token == "tok_timeout":
		f.then = thenSilence
	case token == "tok_twice":
		f.notices = 2
	case token == "tok_error":
		f.failBefore = failures == 0
	case token == "tok_broken":
		f.then = thenFail
	default:
		return b.draw(string(order), failures)
	}
	return f
}

// refundFate decides what happens to a refund of a charge with the token.
func (b Behaviour) refundFate(id onsale.RefundID, token string, failures int) fate {
	f := fate{}
	switch token {
	case "tok_refund_timeout":
		f.then = thenSilence
	case "tok_refund_error":
		f.failBefore = failures == 0
	case "tok_refund_broken":
		f.then = thenFail
	case "tok_refund_refused":
		f.reason = "charge_disputed"
	default:
		f = b.afterwards(string(id), failures)
	}
	return f
}

// voidFate decides what happens to a void.
func (b Behaviour) voidFate(order onsale.OrderID, failures int) fate {
	return b.afterwards("void "+string(order), failures)
}

// afterwards is draw for what is done to a charge, which nobody declines.
func (b Behaviour) afterwards(what string, failures int) fate {
	drawn := b.draw(what, failures)
	return fate{failBefore: drawn.failBefore, then: drawn.then, delay: drawn.delay}
}

// draw lets chance decide, the same for the same seed, request and attempt.
func (b Behaviour) draw(what string, failures int) fate {
	h := fnv.New64a()
	h.Write([]byte(what)) // hash.Hash never returns an error
	chance := rand.New(rand.NewPCG(b.Seed, h.Sum64()+uint64(failures)))
	happens := func(p float64) bool { return chance.Float64() < p }

	f := captured()
	failBefore := happens(b.Error)
	if happens(b.Decline) {
		f = declined("card_declined")
	}
	if happens(b.Broken) {
		f.then = thenFail
	}
	if happens(b.Timeout) {
		f.then = thenSilence
	}
	if happens(b.Twice) {
		f.notices = 2
	}
	f.failBefore = failBefore
	f.delay = time.Duration(b.DelayMs) * time.Millisecond
	return f
}
