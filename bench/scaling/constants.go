package scaling

import (
	"errors"
	"math"
	"time"
)

// Constants are what one operation takes, as measured. CPU times are those of a whole tier, in µs.
type Constants struct {
	FrontSession  float64 // a guest signs in
	FrontHold     float64 // a hold that is granted
	FrontRefusal  float64 // "sold out", answered by the mirror
	FrontCheckout float64 // pin, produce, 202
	FrontRead     float64 // a buyer reads an order
	FrontMemory   float64 // bytes of one process
	HoldBytes     float64 // a request for a hold and its answer

	RedisAlone  float64 // one hold in a call of its own
	RedisFull   float64 // one hold in a call of fullBatch
	OrderWeight float64 // what an order's pin and confirmation cost Redis, in holds
	RedisMemory float64 // bytes of one hold

	SettleOrder   float64 // from the purchase to the tickets, in the process that settles
	PostgresOrder float64
	KafkaOrder    float64 // in the embedded broker, which isn't Apache Kafka
	KafkaBytes    float64 // one order in all topics, one copy
	SettleRate    float64 // orders a second of one event, whose claims are in one partition

	FeedConnect  float64 // upgrade, hello and snapshot
	FeedBeat     float64 // a ping and its pong
	FeedFrame    float64 // one delta to one browser
	FeedFollow   float64 // one change of the stock, followed by one process
	FeedConn     float64 // bytes of memory of one browser
	FeedProcess  float64 // bytes of memory of a process that nobody watches
	FeedDelta    float64 // bytes of one delta
	FeedSnapshot float64 // bytes of hello and snapshot
}

// fullBatch is how many holds bench engine puts in one call, and the batcher at the most.
const fullBatch = 128

// PerCall is what a call costs Redis, in µs, whatever is in it.
func (c Constants) PerCall() float64 {
	return (c.RedisAlone - c.RedisFull) * fullBatch / (fullBatch - 1)
}

// InCall is what each hold in a call costs besides, in µs.
func (c Constants) InCall() float64 { return c.RedisFull - c.PerCall()/fullBatch }

// Batch is how many holds a call carries on a shard that is asked for so many a second, by however many
// processes: while Redis works on their calls, what is asked for gathers, so calls become as large as they must be
// for Redis to keep up, and no larger. With b in each, Redis needs PerCall + b × InCall for b holds.
func (c Constants) Batch(perSecond float64) float64 {
	spare := 1 - perSecond*c.InCall()/1e6
	if spare <= 0 {
		return fullBatch
	}
	return min(fullBatch, max(1, perSecond*c.PerCall()/1e6/spare))
}

// measured is where a constant comes from.
type measured struct {
	symbol, unit string
	what, how    string
	into         func(*Constants) *float64
	read         func(Reports) (float64, error)
	atMost       func(Reports) bool // whether these reports give no more than a bound; nil: they never do
}

// figure reads a number of a report as it is.
func figure(scenario, name string) func(Reports) (float64, error) {
	return func(r Reports) (float64, error) { return r.number(scenario, name) }
}

// perCore turns "so many a second of one core" into µs.
func perCore(scenario, name string) func(Reports) (float64, error) {
	return func(r Reports) (float64, error) {
		v, err := r.number(scenario, name)
		if err == nil && v <= 0 {
			err = wrong("%s of bench %s is %v", name, scenario, v)
		}
		return 1e6 / v, err
	}
}

// table is every constant, in the order in which it is told.
var table = []measured{
	{"front.session", "µs", "a guest signs in", "tiers: `one_front_session_cpu`", func(c *Constants) *float64 { return &c.FrontSession }, figure(fromTiers, "one_front_session_cpu"), nil},
	{"front.hold", "µs", "a hold that is granted", "holds: `holds_cpu`, 1,024 connections as fast as they can", func(c *Constants) *float64 { return &c.FrontHold }, figure(fromHolds, "holds_cpu"), nil},
	{"front.refusal", "µs", "“sold out”, answered from the mirror", "holds: `refusals_cpu`", func(c *Constants) *float64 { return &c.FrontRefusal }, figure(fromHolds, "refusals_cpu"), nil},
	{"front.checkout", "µs", "a check-out: pin, produce, 202", "tiers: `one_front_order_cpu`", func(c *Constants) *float64 { return &c.FrontCheckout }, figure(fromTiers, "one_front_order_cpu"), nil},
	{"front.read", "µs", "a buyer reads an order", "tiers: `one_front_read_cpu`", func(c *Constants) *float64 { return &c.FrontRead }, figure(fromTiers, "one_front_read_cpu"), nil},
	{"front.memory", "bytes", "a process, resident after the storm", "tiers: `one_front_resident`", func(c *Constants) *float64 { return &c.FrontMemory }, figure(fromTiers, "one_front_resident"), nil},
	{"hold.bytes", "bytes", "a request for a hold and its answer, without TCP", "tiers: `hold_ask` + `hold_answer`", func(c *Constants) *float64 { return &c.HoldBytes }, holdBytes, nil},
	{"redis.full", "µs", "a hold in a call of 128", "engine: 1 / `general_batched`", func(c *Constants) *float64 { return &c.RedisFull }, perCore(fromEngine, "general_batched"), nil},
	{"redis.alone", "µs", "a hold in a call of its own", "engine: 1 / `general_single`", func(c *Constants) *float64 { return &c.RedisAlone }, perCore(fromEngine, "general_single"), nil},
	{"order.weight", "holds", "pin and confirmation of an order, of a hold in the same storm", "tiers: `one_redis_order_cpu` / `one_redis_hold_cpu`", func(c *Constants) *float64 { return &c.OrderWeight }, orderWeight, nil},
	{"redis.memory", "bytes", "a hold in its event's book", "tiers: `one_redis_hold`", func(c *Constants) *float64 { return &c.RedisMemory }, figure(fromTiers, "one_redis_hold"), nil},
	{"settle.order", "µs", "an order, from its purchase to its tickets", "settle: `settle_cpu`", func(c *Constants) *float64 { return &c.SettleOrder }, figure(fromSettle, "settle_cpu"), nil},
	{"settle.rate", "1/s", "orders of one event, whose claims are in one partition", "settle: `orders_batched`, everything on this machine", func(c *Constants) *float64 { return &c.SettleRate }, figure(fromSettle, "orders_batched"), nil},
	{"postgres.order", "µs", "the same order in Postgres", "settle: `postgres_cpu`", func(c *Constants) *float64 { return &c.PostgresOrder }, figure(fromSettle, "postgres_cpu"), nil},
	{"kafka.order", "µs", "the same order in the embedded broker", "settle: `kafka_cpu`", func(c *Constants) *float64 { return &c.KafkaOrder }, figure(fromSettle, "kafka_cpu"), nil},
	{"kafka.bytes", "bytes", "an order in all topics, one copy, on disk", "tiers: `one_kafka_order`", func(c *Constants) *float64 { return &c.KafkaBytes }, figure(fromTiers, "one_kafka_order"), nil},
	{"feed.connect", "µs", "a browser's upgrade, hello and snapshot", "tiers: `one_feed_connect_cpu`", func(c *Constants) *float64 { return &c.FeedConnect }, figure(fromTiers, "one_feed_connect_cpu"), nil},
	{"feed.beat", "µs", "a ping and its pong", "feed: (`idle_cpu` − processes × tiers: `one_feed_idle`) × its heartbeat / connections; ≤ if that is less than half of `idle_cpu`, and then with all of it", func(c *Constants) *float64 { return &c.FeedBeat }, feedBeat, beatsAreHidden},
	{"feed.frame", "µs", "a delta to a browser", "feed: `fanout_cpu` / connections", func(c *Constants) *float64 { return &c.FeedFrame }, feedFrame, nil},
	{"feed.follow", "µs", "one change of the stock, followed by one process", "tiers: `many_feed_follow_cpu`, with one browser at each", func(c *Constants) *float64 { return &c.FeedFollow }, figure(fromTiers, "many_feed_follow_cpu"), nil},
	{"feed.conn", "bytes", "memory of a browser", "feed: `bytes_per_further_conn`", func(c *Constants) *float64 { return &c.FeedConn }, figure(fromFeed, "bytes_per_further_conn"), nil},
	{"feed.process", "bytes", "memory of a process that nobody watches", "feed: `bytes_empty` / processes", func(c *Constants) *float64 { return &c.FeedProcess }, feedProcess, nil},
	{"feed.delta", "bytes", "a delta on the wire", "feed: `update`", func(c *Constants) *float64 { return &c.FeedDelta }, figure(fromFeed, "update"), nil},
	{"feed.snapshot", "bytes", "hello and snapshot of a hall without seats", "tiers: `one_snapshot`", func(c *Constants) *float64 { return &c.FeedSnapshot }, figure(fromTiers, "one_snapshot"), nil},
}

// constants reads all of them. The error names every one that is missing, or so small that the run couldn't tell it
// from nothing: what costs nothing would be a promise.
func constants(r Reports) (Constants, error) {
	var c Constants
	var errs []error
	for _, m := range table {
		v, err := m.read(r)
		if err == nil && (v <= 0 || math.IsNaN(v) || math.IsInf(v, 0)) {
			err = wrong("%s, %s, can't be reckoned with: it is %v. It is from bench %s: measure more, or for longer", m.symbol, m.what, v, m.how)
		}
		errs = append(errs, err)
		*m.into(&c) = v
	}
	return c, errors.Join(errs...)
}

func holdBytes(r Reports) (float64, error) {
	n, err := r.numbers(fromTiers, "hold_ask", "hold_answer")
	return n[0] + n[1], err
}

func orderWeight(r Reports) (float64, error) {
	n, err := r.numbers(fromTiers, "one_redis_order_cpu", "one_redis_hold_cpu")
	if err == nil && n[1] <= 0 {
		err = wrong("bench tiers found no cost of a hold: run %s with more --buyers", makes[fromTiers])
	}
	return n[0] / n[1], err
}

// atRest is what feeds to which nothing happens take.
type atRest struct {
	cores float64       // with their heartbeats
	own   float64       // cores that their processes take anyway, as others did
	every time.Duration // the heartbeat
	conns float64
}

func feedAtRest(r Reports) (atRest, error) {
	n, err := r.numbers(fromFeed, "idle_cpu", "procs", "conns")
	own, ownErr := r.number(fromTiers, "one_feed_idle")
	every := heartbeat.Seconds() // of a report that doesn't say, it is taken to be today's
	if v, ok := r[fromFeed].Params["heartbeat_seconds"].(float64); ok {
		every = v
	}
	return atRest{cores: n[0], own: n[1] * own, every: time.Duration(every * float64(time.Second)), conns: n[2]}, errors.Join(err, ownErr)
}

// hidden reports whether heartbeats are less than what processes take anyway: the difference of two numbers that are
// nearly equal is mostly what was wrong with each.
func (a atRest) hidden() bool { return a.cores < 2*a.own }

// feedBeat is what heartbeats take, without what the processes would take anyway; with it, if that can't be told apart.
func feedBeat(r Reports) (float64, error) {
	rest, err := feedAtRest(r)
	if err != nil {
		return 0, err
	}
	beats := rest.cores - rest.own
	if rest.hidden() {
		beats = rest.cores
	}
	return beats * rest.every.Seconds() * 1e6 / rest.conns, nil
}

// beatsAreHidden reports whether feedBeat is a bound.
func beatsAreHidden(r Reports) bool {
	rest, err := feedAtRest(r)
	return err == nil && rest.hidden()
}

func feedFrame(r Reports) (float64, error) {
	n, err := r.numbers(fromFeed, "fanout_cpu", "conns")
	if err != nil {
		return 0, err
	}
	return n[0] * 1e3 / n[1], nil
}

func feedProcess(r Reports) (float64, error) {
	n, err := r.numbers(fromFeed, "bytes_empty", "procs")
	if err != nil {
		return 0, err
	}
	return n[0] / n[1], nil
}
