package bench

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// What buyers are like, as shares of all of them.
const (
	abandons      = 0.05 // half of these give the hold back, half let it go
	doubleClicks  = 0.04
	reopensFeed   = 0.04
	losesFeed     = 0.04 // the line goes dead in the middle of it, and it goes on from where it was
	losesRequests = 0.01 // it goes dead after a request was sent and before it is answered: at the first hold, and at the check-out
	readsTickets  = 0.50
	paysDeclined  = 0.05
	paysDelayed   = 0.03
	paysBroken    = 0.02  // charged, but the provider's answer is a 500
	paysTwice     = 0.02  // the provider tells its outcome twice
	paysSilently  = 0.001 // charged, and the provider never answers
	mostPlaces    = 4     // admissions, or neighbouring seats
	fewestLooks   = 4     // at a house with nothing left, before giving up
	mostLooks     = 12
	mostRefusals  = 40 // holds asked for in vain before giving up: nobody clicks for ever
	paymentPrefix = "tok_"
)

// ending is what a buyer does with a hold.
type ending int

const (
	paysForIt ending = iota
	givesItBack
	letsItGo
)

// temper is what one buyer will do, all of it drawn before the rush from the seed and
// the buyer's number: it doesn't depend on who was faster.
type temper struct {
	way           way
	quantity      int
	looks         int
	ending        ending
	doubleClicks  bool
	reopensFeed   bool
	losesFeed     bool
	losesRequests bool
	readsTickets  bool
	isBot         bool       // see bot.go
	rounds        int        // of a bot's holding
	payment       string     // the provider's token
	paidBack      *paidBack  // what the operator pays back, if the rush has an aftermath; nil for nothing
	triesAgain    bool       // with another card, when the first is declined; as above
	rng           *rand.Rand // for the buyer's own goroutine alone
	think         time.Duration
}

func newTemper(cfg RushConfig, buyer int) *temper {
	rng := rand.New(rand.NewPCG(cfg.Seed, uint64(buyer)))
	t := &temper{quantity: 1 + rng.IntN(mostPlaces), rng: rng, think: cfg.Think}
	t.way = cfg.Mix.draw(rng.Float64())
	t.looks = fewestLooks + rng.IntN(mostLooks-fewestLooks+1)
	if rng.Float64() < abandons {
		t.ending = []ending{givesItBack, letsItGo}[rng.IntN(2)]
	}
	t.doubleClicks = rng.Float64() < doubleClicks
	t.reopensFeed = rng.Float64() < reopensFeed
	t.readsTickets = rng.Float64() < readsTickets
	t.payment = paymentPrefix + drawPayment(rng.Float64(), cfg)
	isBot := rng.Float64() < cfg.Bots
	t.losesFeed = rng.Float64() < losesFeed
	t.losesRequests = rng.Float64() < losesRequests
	if cfg.Aftermath {
		if rng.Float64() < isPaidBack || strings.HasPrefix(t.payment, paymentPrefix+refundingPrefix) {
			t.paidBack = drawPaidBack(rng)
		}
		t.triesAgain = rng.Float64() < triesAgain
	}
	if isBot {
		t.automate()
	}
	return t
}

// card is what a payment token does, and the share of the buyers who have one.
type card struct {
	name  string
	share float64
}

// drawPayment chooses a card for p, uniform in [0, 1).
func drawPayment(p float64, cfg RushConfig) string {
	cards := []card{{"decline", paysDeclined}, {"delay_" + strconv.FormatInt(cfg.SlowPayment.Milliseconds(), 10), paysDelayed},
		{"broken", paysBroken}, {"twice", paysTwice}, {"timeout", paysSilently}}
	if cfg.Aftermath {
		cards = append(cards, backCards(cfg.SlowPayment)...)
	}
	for _, card := range cards {
		if p < card.share {
			return card.name
		}
		p -= card.share
	}
	return "ok"
}

// pause is how long the buyer thinks before the next step: half to one and a half of the mean.
func (t *temper) pause() time.Duration { return t.jitter(t.think) }

// jitter is half to one and a half of d, so that buyers who were told to come back
// don't come back together.
func (t *temper) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(t.rng.Int64N(int64(d)+1))
}
