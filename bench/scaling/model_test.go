package scaling

import (
	"math"
	"testing"
	"time"
)

// plain are constants that are easy to reckon with.
var plain = Constants{
	FrontSession: 40, FrontHold: 20, FrontRefusal: 10, FrontCheckout: 80, FrontRead: 100, FrontMemory: 50e6, HoldBytes: 900,
	RedisAlone: 85, RedisFull: 7, OrderWeight: 2, RedisMemory: 400,
	SettleOrder: 60, PostgresOrder: 90, KafkaOrder: 10, KafkaBytes: 300, SettleRate: 9_000,
	FeedConnect: 100, FeedBeat: 10, FeedFrame: 10, FeedFollow: 5, FeedConn: 8_000, FeedProcess: 25e6, FeedDelta: 170, FeedSnapshot: 300,
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func TestACallIsAsLargeAsItMustBeForRedisToKeepUp(t *testing.T) {
	t.Parallel()
	near(t, "a call of one", plain.PerCall()+plain.InCall(), plain.RedisAlone)
	near(t, "a full call", plain.PerCall()+fullBatch*plain.InCall(), fullBatch*plain.RedisFull)
	near(t, "the batch of hardly anybody", plain.Batch(1), 1)
	near(t, "the batch of too many", plain.Batch(1e6), fullBatch)
	before := 1.0
	for rate := 1e4; rate < 1e6/plain.RedisFull; rate += 1e4 {
		b := plain.Batch(rate)
		if b < before {
			t.Errorf("at %v a second a call carries %v, and fewer would carry %v", rate, b, before)
		}
		if busy := rate / b * (plain.PerCall() + b*plain.InCall()) / 1e6; busy > 1+1e-9 {
			t.Errorf("at %v a second Redis would work %v of the time", rate, busy)
		}
		before = b
	}
}

func TestACrowdThatComesAtOnceIsAnsweredInTheTimeThatIsAllowed(t *testing.T) {
	t.Parallel()
	d := Of(Sale{Users: 150_000, Over: time.Second, Tickets: 5_000}, plain)
	near(t, "holds", d.Holds, 2_500)
	near(t, "orders", d.Orders, 2_250)
	// 2,500 are granted, and for 0.2 s more the first asks of 15,000 a second go to Redis, all within 3 s.
	near(t, "asks of Redis", d.Redis, (2_500+15_000*0.2)/3)
	near(t, "asks at fronts", d.Asks, (2_500+3*147_500)/10.0)
	near(t, "check-outs", d.Checkout, 2_250/30.0)
	if d.SoldOut > soldOutWithin.Seconds() {
		t.Errorf("all is held after %v s", d.SoldOut)
	}
}

func TestACrowdThatComesSlowlyIsServedAsItComes(t *testing.T) {
	t.Parallel()
	d := Of(Sale{Users: 60_000, Over: time.Minute, Tickets: 20_000}, plain)
	near(t, "asks of Redis", d.Redis, 1_000)
	near(t, "sold out after", d.SoldOut, 10)
}

func TestOneEventsOrdersAreSettledAtThePaceOfItsPartition(t *testing.T) {
	t.Parallel()
	d := Of(Sale{Users: 10e6, Over: time.Minute, Tickets: 10e6 / 3}, plain)
	near(t, "settled", d.Settled, plain.SettleRate)
	near(t, "the last ticket", d.LastOrd, d.Orders/plain.SettleRate)
}

func TestWhatIsSharedOutGrowsWithTheCrowd(t *testing.T) {
	t.Parallel()
	small, large := Sale{Users: 1e5, Over: time.Minute, Tickets: 2e4}, Sale{Users: 2e5, Over: time.Minute, Tickets: 4e4}
	a, b := Takes(small, Of(small, plain), plain), Takes(large, Of(large, plain), plain)
	near(t, "feeds' sockets", b.Feed.Sockets, 2*a.Feed.Sockets)
	near(t, "feeds' network", b.Feed.Wire, 2*a.Feed.Wire)
	near(t, "settlers' network", b.Settle.Wire, 2*a.Settle.Wire)
	near(t, "Postgres's cores", b.Postgres.Cores, 2*a.Postgres.Cores)
	near(t, "Redis's memory", b.Redis.Memory, 2*a.Redis.Memory)
	if b.Feed.Process < a.Feed.Process || b.Front.Process < a.Front.Process {
		t.Errorf("of more there are fewer: %+v and %+v", a, b)
	}
}

func TestAnEventOnSeveralShardsHasStripesForEach(t *testing.T) {
	t.Parallel()
	for _, s := range Sales() {
		n := Takes(s, Of(s, plain), plain)
		switch {
		case n.Shards == 1 && n.Stripes != 1:
			t.Errorf("%s: %v stripes on one shard", s.Name, n.Stripes)
		case n.Shards > 1 && (n.Stripes < n.Shards || n.Stripes > mostStripes):
			t.Errorf("%s: %v stripes on %v shards", s.Name, n.Stripes, n.Shards)
		}
	}
}

func TestFollowingLeavesAProcessTimeToServe(t *testing.T) {
	t.Parallel()
	free, busy := sized("feed", 6e6, 0, 0), sized("feed", 6e6, usable*1e6/2, 0)
	near(t, "processes that follow nothing", free.Process, 10)
	near(t, "processes that follow half of the time", busy.Process, 20)
	slow := plain
	slow.FeedFollow = 1e6 // a second each
	for _, s := range Sales() {
		n := Takes(s, Of(s, slow), slow)
		if n.following() > mostFollowing*1e6 || n.Feed.Process < 1 || math.IsInf(n.Feed.Process, 0) {
			t.Errorf("%s: %+v", s.Name, n)
		}
	}
}

func TestATierIsBoundByWhatItHasLeastOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tier  Tier
		n     float64
		bound string
	}{
		{Tier{Cores: 1}, 1, "one is enough"},
		{Tier{Cores: 2 * usable * machineCores}, 2, "CPU"},
		{Tier{Cores: 1, Memory: 3 * machineMemory}, 3, "memory"},
		{Tier{Wire: 3.5 * usable * machineWire}, 4, "network"},
	} {
		tier := c.tier
		tier.fit()
		if tier.Machines != c.n || tier.Bound != c.bound {
			t.Errorf("%+v takes %v machines for %s", c.tier, tier.Machines, tier.Bound)
		}
	}
}
