package scaling

import "math"

// Tier is what one tier needs.
type Tier struct {
	Name     string
	Cores    float64 // busy at the peak; usable of each are planned with
	Process  float64 // processes, shards or partitions
	Memory   float64 // bytes
	Sockets  float64 // connections of clients, over all processes
	Wire     float64 // bits a second
	Machines float64 // of machineCores, machineMemory and machineWire
	Bound    string  // what decides how many
}

// Need is what a sale takes.
type Need struct {
	Front, Redis, Feed, Kafka, Settle, Postgres Tier

	Shards, Stripes float64 // each stripe has a slot of its own
	Batch           float64 // holds in a call
	Calls           float64 // 1/s: calls, each of which is a change of the stock that every front and feed follows
	Follow          float64 // cores of each of them that this would take, change by change
	Replicas        float64 // of each shard, for those who follow
	Partitions      float64
}

// Takes says what it takes to serve a demand.
func Takes(s Sale, d Demand, c Constants) Need {
	var n Need
	n.redis(d, c)
	n.front(s, d, c)
	n.feed(s, d, c)
	n.settlement(d, c)
	subscribers := n.Front.Process + n.Feed.Process
	n.Replicas = max(0, math.Ceil(subscribers/followers)-1)
	n.Redis.Machines = math.Ceil(n.Shards * (1 + n.Replicas) / (machineCores / 2)) // a shard has one thread, and its network another
	n.Redis.Bound = "a shard is one thread"
	return n
}

// cores turns µs of CPU time a second into busy cores.
func cores(perSecond float64) float64 { return perSecond / 1e6 }

// redis sizes by full calls: those are what a shard comes to that is asked for more. With less to do it makes more,
// smaller calls, and is as busy.
func (n *Need) redis(d Demand, c Constants) {
	asked := d.Redis + c.OrderWeight*d.Checkout // 1/s, in holds
	n.Shards = max(1, math.Ceil(cores(asked*c.RedisFull)/usable))
	n.Stripes = 1
	if n.Shards > 1 {
		n.Stripes = min(mostStripes, n.Shards*stripesPerShard)
	}
	n.Batch = c.Batch(asked / n.Shards)
	n.Calls = asked / n.Batch
	n.Follow = cores(n.Calls * c.FeedFollow)
	n.Redis = Tier{Name: "Redis", Cores: cores(n.Calls*c.PerCall() + asked*c.InCall()), Process: n.Shards,
		Memory: d.Holds * c.RedisMemory, Wire: 8 * asked * c.HoldBytes}
}

// following is what each front and feed spends on the event's changes, in µs a second.
func (n *Need) following() float64 { return min(n.Follow, mostFollowing) * 1e6 }

func (n *Need) front(s Sale, d Demand, c Constants) {
	opening := d.Opening * c.FrontSession
	selling := d.Redis*c.FrontHold + d.Refusals*c.FrontRefusal + d.Checkout*(c.FrontCheckout+looksAtOrder*c.FrontRead)
	n.Front = sized("front", max(opening, selling), n.following(), 0)
	n.Front.Memory = n.Front.Process * c.FrontMemory
	n.Front.Sockets = s.Users
	n.Front.Wire = 8 * (d.Asks + d.Checkout*(1+looksAtOrder)) * (c.HoldBytes + headers + packet)
	n.Front.fit()
}

func (n *Need) feed(s Sale, d Demand, c Constants) {
	opening := d.Opening*c.FeedConnect + d.Beats*c.FeedBeat
	selling := d.Frames*c.FeedFrame + d.Beats*c.FeedBeat
	n.Feed = sized("feed", max(opening, selling), n.following(), math.Ceil(s.Users/feedsPerProcess))
	n.Feed.Memory = s.Users*c.FeedConn + n.Feed.Process*c.FeedProcess
	n.Feed.Sockets = s.Users
	n.Feed.Wire = 8 * max(d.Frames*(c.FeedDelta+packet), d.Opening*(c.FeedSnapshot+headers+packet))
	n.Feed.fit()
}

func (n *Need) settlement(d Demand, c Constants) {
	n.Settle = sized("settle", d.Settled*c.SettleOrder, 0, 0)
	n.Settle.Wire = 8 * d.Settled * c.KafkaBytes * 2
	n.Settle.fit()
	n.Partitions = max(leastPartitions, 2*n.Settle.Process)

	n.Postgres = Tier{Name: "Postgres", Cores: cores(d.Settled * c.PostgresOrder), Process: 1, Sockets: poolSize * (n.Settle.Process + n.Front.Process)}
	n.Postgres.fit()
	n.Kafka = Tier{Name: "Kafka", Cores: cores(d.Settled * c.KafkaOrder * copies), Process: copies, Wire: 8 * d.Checkout * c.KafkaBytes * copies}
	n.Kafka.Machines, n.Kafka.Bound = copies, "a copy each"
}

// sized is a tier whose processes use a core each: as many as its work asks for, or at least so many.
// What each process must do for itself, however many there are, leaves it less of its core.
func sized(name string, work, own, least float64) Tier {
	room := usable*1e6 - own // µs a second that a process has for what is shared out; mostFollowing leaves some
	processes := max(1, least, math.Ceil(work/room))
	return Tier{Name: name, Process: processes, Cores: cores(work + processes*own)}
}

// fit says how many machines a tier takes, and why.
func (t *Tier) fit() {
	for _, by := range []struct {
		what string
		n    float64
	}{
		{"CPU", t.Cores / usable / machineCores}, {"memory", t.Memory / machineMemory}, {"network", t.Wire / usable / machineWire},
	} {
		if n := max(1, math.Ceil(by.n)); n > t.Machines || t.Bound == "" {
			t.Machines, t.Bound = n, by.what
		}
	}
	if t.Machines == 1 {
		t.Bound = "one is enough"
	}
}
