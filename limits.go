package onsale

import "time"

// The limits. Every queue, buffer and time-out is bounded; those that more than
// one folder must agree on stand here, and limits_test.go asserts how they relate.
const (
	// MaxSections is how many sections one event may have.
	MaxSections = 200
	// MaxSeatsPerEvent is how many reserved seats one event may have: a byte each, in one Redis string.
	MaxSeatsPerEvent = 200_000
	// MaxPrice is the highest price of an admission, in minor units: so low that no
	// order's amount overflows, nor loses a unit in a browser's or Redis's numbers.
	MaxPrice = 100_000_000_000
	// MaxCapacity is the largest general-admission section.
	MaxCapacity = 1_000_000
	// MaxStripes is over how many books an event's stock may be spread.
	MaxStripes = 64
	// MaxPerBuyer is the largest per-buyer limit an event may set, and so the largest hold.
	MaxPerBuyer = 50
	// MaxLines is how many sections one hold may span.
	MaxLines = 10
	// MaxKeyLength is the longest Idempotency-Key, in bytes.
	MaxKeyLength = 255
	// MaxBodyBytes is the largest buyer's request body.
	MaxBodyBytes = 16 << 10
	// MaxEventBytes is the largest event file.
	MaxEventBytes = 1 << 20

	// DefaultHoldTime is how long a hold lives unless the event says otherwise.
	DefaultHoldTime = 120 * time.Second
	// MinHoldTime and MaxHoldTime bound what an event may say.
	MinHoldTime = 1 * time.Second
	MaxHoldTime = 30 * time.Minute
	// HoldMemory is how long an ended hold is remembered, so that a repeated
	// request still finds its answer. It is longer than any hold can live.
	HoldMemory = time.Hour

	// ProduceTimeout is how long the acknowledgement of a purchase by Kafka is waited
	// for. After it the answer is 503 and the purchase is in doubt: a record that was
	// sent and not answered is sent again until its fate is known, so it may land
	// later, at any time.
	ProduceTimeout = 10 * time.Second
	// OrphanAge is how old a pin without an order must be before recovery may free
	// it: far longer than an acknowledgement is waited for. A purchase that lands even
	// later is claimed if its inventory is still free, else rejected before any
	// charge; Redis then learns of it by the order's news.
	OrphanAge = 60 * time.Second
	// SessionTime is how long a guest's token is good for. It covers the longest
	// hold and the wait for its order.
	SessionTime = 12 * time.Hour
	// DefaultHeartbeat is how often a feed's client is pinged.
	DefaultHeartbeat = 30 * time.Second
	// TransferTime is how long an offered ticket can be taken.
	TransferTime = 7 * 24 * time.Hour
	// MaxOffers is how often one ticket may be offered: each offer is kept for good.
	MaxOffers = 50
	// MaxGateLength is the longest name of a gate, in bytes.
	MaxGateLength = 64
	// StopTimeout is how long a part may take to stop before it is given up.
	StopTimeout = 20 * time.Second
)
