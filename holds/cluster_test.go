package holds

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"onsale"
)

const clusterSlots = 16_384

// clusterTimeout is how long a server of a cluster is silent before it counts as
// failed, in milliseconds: longer than a busy machine leaves it without a turn.
const clusterTimeout = "3000"

// startCluster runs a cluster of masters that share the slots evenly. After them come
// the first replica of each, then the second of each.
func startCluster(t *testing.T, masters, replicas int) []*redisServer {
	t.Helper()
	all := make([]*redisServer, masters*(1+replicas))
	for i := range all {
		all[i] = startRedis(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t), "--cluster-node-timeout", clusterTimeout,
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
	}
	for i, s := range all[:masters] {
		s.tell("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		s.tell("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*clusterSlots/masters), fmt.Sprint((i+1)*clusterSlots/masters-1))
	}
	for _, s := range all[1:] {
		_, bus, _ := strings.Cut(strings.Join(s.args, " "), "--cluster-port ")
		bus, _, _ = strings.Cut(bus, " ")
		all[0].tell("CLUSTER", "MEET", "127.0.0.1", s.port, bus)
	}
	knows := func(n int) bool {
		return !slices.ContainsFunc(all, func(s *redisServer) bool {
			info := s.tell("CLUSTER", "INFO")
			return !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n))
		})
	}
	eventually(t, "the cluster is whole", func() bool { return knows(len(all)) })
	for i, s := range all[masters:] {
		s.tell("CLUSTER", "REPLICATE", all[i%masters].tell("CLUSTER", "MYID"))
		s.isLinked()
	}
	eventually(t, "all name the replicas to clients", func() bool {
		return !slices.ContainsFunc(all, func(s *redisServer) bool { return s.serversPerSlot() != 1+replicas })
	})
	return all
}

// serversPerSlot is how many servers it names to clients for each slot, at the least.
func (s *redisServer) serversPerSlot() int {
	s.t.Helper()
	reply, err := s.ask("CLUSTER", "SLOTS")
	if err != nil {
		s.t.Fatal(err)
	}
	ranges, err := reply.ToArray()
	if err != nil || len(ranges) == 0 {
		s.t.Fatalf("CLUSTER SLOTS: %v, %v", ranges, err)
	}
	least := 0
	for i, r := range ranges {
		words, err := r.ToArray()
		if err != nil {
			s.t.Fatal(err)
		}
		if n := len(words) - 2; i == 0 || n < least { // after the first and the last slot
			least = n
		}
	}
	return least
}

// addressOf is what connects to a cluster of these servers.
func addressOf(servers []*redisServer) string {
	hosts := make([]string, len(servers))
	for i, s := range servers {
		hosts[i] = s.address()
	}
	return "redis://" + strings.Join(hosts, ",")
}

// slot is the event's.
func (h *house) slot(any *redisServer) int64 {
	h.t.Helper()
	reply, err := any.ask("CLUSTER", "KEYSLOT", newKeys(h.desk.cfg.Namespace, h.layout.Event.ID).all[0])
	if err != nil {
		h.t.Fatal(err)
	}
	n, err := reply.AsInt64()
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// shard is the index of the master that has the event in a cluster as it was started.
func (h *house) shard(masters []*redisServer) int {
	return int(h.slot(masters[0])) * len(masters) / clusterSlots
}

// houseAt is houseOn for an event whose slot the given master has.
func houseAt(t *testing.T, masters []*redisServer, shard int, change func(*onsale.Event)) *house {
	t.Helper()
	for i := 0; ; i++ {
		id := onsale.EventID(fmt.Sprintf("concert-%d", i))
		probe := &house{t: t, desk: NewDesk(Config{}), layout: &onsale.Layout{Event: &onsale.Event{ID: id}}}
		if probe.shard(masters) == shard {
			return houseOn(t, addressOf(masters), func(e *onsale.Event) {
				e.ID = id
				if change != nil {
					change(e)
				}
			})
		}
	}
}

func TestEventsSpreadOverAClusterWorkAsOnOneRedis(t *testing.T) {
	t.Parallel()
	masters := startCluster(t, 3, 0)
	var at [3]int
	for i := range 9 {
		h := houseAt(t, masters, i%3, func(e *onsale.Event) { e.HoldSeconds = 1 })
		at[h.shard(masters)]++
		f := h.watch(h.mirrors(func(event onsale.EventID) { t.Errorf("%s is amiss", event) }))
		sold := h.mustHold("buy_a", stand("A-1"), floor(1))
		h.sell(sold)
		released := h.mustHold("buy_b", floor(2))
		if err := h.desk.Release(t.Context(), h.layout, released.ID, "buy_b", 0); err != nil {
			t.Fatal(err)
		}
		h.mustHold("buy_c", best(2))
		if pins := h.pins(); len(pins) != 0 {
			t.Errorf("pins %+v where all is sold", pins)
		}
		eventually(t, "what expires is available again", func() bool { return h.counts("stand") == onsale.Counts{Available: 9, Sold: 1} })
		h.agrees(f)
		for j, s := range masters {
			if n := s.listeners(h); (n == 1) != (j == i%3) {
				t.Errorf("%d listen to shard %d's event at shard %d", n, i%3, j)
			}
		}
	}
	if slices.Contains(at[:], 0) {
		t.Errorf("events per shard: %v", at)
	}
}

func TestStockInAClusterIsLaidAnew(t *testing.T) {
	t.Parallel()
	masters := startCluster(t, 3, 0)
	for shard := range masters {
		h := houseAt(t, masters, shard, nil)
		f := h.watch(h.mirrors(func(onsale.EventID) {}))
		kept := h.mustHold("buy_a", stand("A-1"))
		h.mustHold("buy_b", floor(2))
		h.rebuild(testEpoch+1, Kept{Hold: kept.ID, Buyer: "buy_a", Sold: true, Lines: kept.Lines})
		h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
		h.wantCounts("floor", onsale.Counts{Available: 10})
		h.mustHold("buy_b", floor(2))
		h.agrees(f)
	}
}

// moveSlot moves the event's slot, key by key, calling between after the first. In
// between it is half here and half there.
func (h *house) moveSlot(masters []*redisServer, from, to *redisServer, between func()) {
	h.t.Helper()
	slot := fmt.Sprint(h.slot(from))
	there := to.tell("CLUSTER", "MYID")
	to.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", from.tell("CLUSTER", "MYID"))
	from.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
	for _, key := range newKeys(h.desk.cfg.Namespace, h.layout.Event.ID).all {
		from.tell("MIGRATE", "127.0.0.1", to.port, key, "0", "1000")
		if between != nil {
			between()
			between = nil
		}
	}
	for _, s := range append([]*redisServer{to, from}, masters...) {
		s.tell("CLUSTER", "SETSLOT", slot, "NODE", there)
	}
}

func TestAnEventThatMovesToAnotherShardIsFollowed(t *testing.T) {
	t.Parallel()
	masters := startCluster(t, 3, 0)
	h := houseAt(t, masters, 0, nil)
	amiss := make(chan onsale.EventID, 1)
	f := h.watch(h.mirrors(func(event onsale.EventID) {
		select {
		case amiss <- event:
		default:
		}
	}))
	h.mustHold("buy_a", floor(2))
	h.moveSlot(masters, masters[0], masters[2], func() {
		_, err := h.hold("buy_b", "", floor(1))
		wantLater(t, err, onsale.CodeUnavailable, onsale.CodeRecovering)
	})
	<-amiss // another server has it now, which can't know that it has all of it
	h.layAgain(testEpoch + 1)
	h.mustHold("buy_b", floor(1))
	h.agrees(f)
	eventually(t, "the mirror listens where the event is", func() bool { return masters[2].listeners(h) == 1 && masters[0].listeners(h) == 0 })
	h.bustle(10)
	h.agrees(f)
}

func TestAShardThatFailsOverIsFollowed(t *testing.T) {
	t.Parallel()
	servers := startCluster(t, 3, 1)
	masters, heir := servers[:3], servers[3]
	h := houseAt(t, masters, 0, nil)
	amiss := make(chan onsale.EventID, 1)
	note := func(event onsale.EventID) {
		select {
		case amiss <- event:
		default:
		}
	}
	f, far := h.watch(h.mirrors(note)), h.watchFrom(addressOf(servers))
	h.listensAt("the shard's replica", heir)
	h.listensAt("its master", masters[0])
	h.bustle(50)
	h.agrees(f)
	h.agrees(far)
	masters[0].kill()
	<-amiss // the replica was promoted
	h.layAgain(testEpoch + 1)
	h.bustle(50)
	h.agrees(f)
	h.agrees(far)
}
