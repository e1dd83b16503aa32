package holds

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"onsale"
)

// chain is a master, a replica, and a replica of that one.
func chain(t *testing.T) (master, middle, end *redisServer) {
	t.Helper()
	// Replicas begin at once instead of gathering others for a while.
	master = startRedis(t, "--repl-diskless-sync-delay", "0")
	middle = startRedis(t, "--repl-diskless-sync-delay", "0")
	end = startRedis(t)
	middle.follow(master)
	end.follow(middle)
	return master, middle, end
}

// watchFrom is watch for mirrors that read where the addresses lead.
func (h *house) watchFrom(addresses string) *folder {
	h.t.Helper()
	l, err := NewLadder(addresses, quiet())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := l.Stop(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	if err := l.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	m := h.mirrors(func(onsale.EventID) {})
	m.ReadFrom(l)
	return h.watch(m)
}

// bustle holds and releases, from an available floor to an available floor.
func (h *house) bustle(rounds int) {
	h.t.Helper()
	for i := range rounds {
		hold := h.mustHold(onsale.BuyerID(fmt.Sprint("buy_", i)), floor(1), stand("A-1"))
		if err := h.desk.Release(h.t.Context(), h.layout, hold.ID, hold.Buyer, 0); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) agrees(f *folder) {
	h.t.Helper()
	eventually(h.t, "the mirror agrees with the master", func() bool { return f.has(h.stock()) })
}

func (h *house) listensAt(what string, s *redisServer) {
	h.t.Helper()
	eventually(h.t, "the mirror listens at "+what, func() bool { return s.listeners(h) == 1 })
}

func TestAMirrorReadsAtTheFarEndOfAChainOfReplicas(t *testing.T) {
	t.Parallel()
	master, middle, end := chain(t)
	h := houseOn(t, master.url(), nil)
	f := h.watchFrom(end.url() + "," + middle.url())
	h.bustle(200)
	h.sell(h.mustHold("buy_x", stand("B-2")))
	h.agrees(f)
	if n, m, e := master.listeners(h), middle.listeners(h), end.listeners(h); n != 0 || m != 0 || e != 1 {
		t.Errorf("%d listen at the master, %d at its replica, %d at the end", n, m, e)
	}
	reply, err := end.ask("SCRIPT", "EXISTS", viewScript.sha)
	if err != nil {
		t.Fatal(err)
	}
	if known, err := reply.AsIntSlice(); err != nil || len(known) != 1 || known[0] != 1 {
		t.Errorf("the stock was not read at the end: %v, %v", known, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resets > 2 { // one when the subscription begins, one more if the stock was not there yet
		t.Errorf("%d resets where no delta was lost", f.resets)
	}
}

func TestAMirrorWhoseReplicaIsCutOffReadsElsewhereAndComesBack(t *testing.T) {
	t.Parallel()
	master, middle, end := chain(t)
	h := houseOn(t, master.url(), nil)
	f := h.watchFrom(end.url() + "," + middle.url())
	h.listensAt("the end", end)
	middle.kill()
	h.bustle(50)
	h.agrees(f)
	h.listensAt("the master", master)
	middle.start()
	middle.follow(master)
	end.isLinked()
	h.listensAt("the end again", end)
	eventually(t, "nobody listens at the master any more", func() bool { return master.listeners(h) == 0 })
	h.bustle(50)
	h.agrees(f)
}

func TestAReplicaThatFallsBehindIsLeft(t *testing.T) {
	t.Parallel()
	master, _, end := chain(t)
	h := houseOn(t, master.url(), nil)
	f := h.watchFrom(end.url())
	h.listensAt("the end", end)
	end.tell("REPLICAOF", "NO", "ONE") // in good health, and on its own
	h.bustle(50)
	h.agrees(f)
	h.listensAt("the master", master)
}

func TestAReplicaThatIsDownAtTheStartIsReadFromWhenItIsUp(t *testing.T) {
	t.Parallel()
	master, _, end := chain(t)
	end.kill()
	h := houseOn(t, master.url(), nil)
	f := h.watchFrom(end.url())
	h.bustle(10)
	h.agrees(f)
	end.start()
	end.follow(master)
	h.listensAt("the replica", end)
	h.bustle(10)
	h.agrees(f)
}

func TestADemotedMasterIsNeitherAskedNorBelieved(t *testing.T) {
	t.Parallel()
	redis, other := startRedis(t), startRedis(t)
	h := houseOn(t, redis.url(), nil)
	other.follow(redis)
	other.tell("REPLICAOF", "NO", "ONE")
	redis.follow(other)
	_, err := h.hold("buy_a", "", floor(1))
	wantLater(t, err, onsale.CodeUnavailable, onsale.CodeRecovering)
	eventually(t, "its word is refused", func() bool {
		_, err := h.desk.Condition(t.Context(), h.layout.Event.ID)
		return errors.Is(err, errDemoted)
	})
	redis.tell("REPLICAOF", "NO", "ONE") // the same process as before, but what it has is the other one's
	eventually(t, "it is asked again, and not taken for the one it was", func() bool {
		c, err := h.desk.Condition(t.Context(), h.layout.Event.ID)
		return err == nil && !c.Whole()
	})
	_, err = h.hold("buy_a", "", floor(1))
	wantLater(t, err, onsale.CodeRecovering)
	h.rebuild(testEpoch + 1)
	h.mustHold("buy_a", floor(1))
}
