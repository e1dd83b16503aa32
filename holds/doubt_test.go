package holds

import (
	"context"
	"syscall"
	"testing"
	"time"

	"onsale"
)

func TestAMirrorInDoubtKeepsWhatItKnewAndSaysSo(t *testing.T) {
	t.Parallel()
	h, redis := newPrivateHouse(t, nil)
	m := NewMirrors(h.desk, connect(t, redis.URL()), func(onsale.EventID) {}, quiet())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := m.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	f := h.watch(m)
	sold := h.mustHold("buy_a", stand("A-1"))
	h.sell(sold)
	eventually(t, "the mirror has it", func() bool { return f.has(h.stock()) })
	whole := h.stock()
	doubted := *whole
	doubted.Sale = onsale.SaleRecovering

	h.signal(redis, syscall.SIGSTOP)
	eventually(t, "a Redis that doesn't answer is told", func() bool { return f.has(&doubted) })
	h.signal(redis, syscall.SIGCONT)
	eventually(t, "nothing was lost", func() bool { return f.has(whole) })

	h.tell("FLUSHALL")
	began := time.Now()
	eventually(t, "a Redis that lost all is told", func() bool { return f.has(&doubted) })
	t.Logf("told after %v", time.Since(began))
	h.layAgain(testEpoch+1, Kept{Hold: sold.ID, Buyer: "buy_a", Sold: true, Lines: sold.Lines})
	eventually(t, "the new epoch is told", func() bool { return f.has(h.stock()) })
}

// What one event's laying makes of the server, another event must not take for its own.
func TestAnEventThatIsLaidAgainVouchesForNoOther(t *testing.T) {
	t.Parallel()
	h, redis := newPrivateHouse(t, nil)
	elsewhere := *h.layout.Event
	elsewhere.ID = "play"
	cfg := h.desk.cfg
	other := &house{t: t, layout: onsale.NewLayout(&elsewhere), client: h.client, desk: NewDesk(cfg)} // another process
	t.Cleanup(func() {
		if err := other.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	other.rebuild(testEpoch)
	h.tell("SAVE")
	h.mustHold("buy_a", floor(1))
	other.sell(other.mustHold("buy_a", stand("A-1")))
	h.kill(redis)
	begin(t, redis)
	h.layAgain(testEpoch + 1)
	h.mustHold("buy_a", floor(1)) // Redis knows the script again
	_, err := other.hold("buy_b", "", stand("A-1"))
	wantLater(t, err, onsale.CodeUnavailable, onsale.CodeRecovering)
}

// layAgain lays the stock as soon as it is seen not to be whole.
func (h *house) layAgain(epoch onsale.Epoch, kept ...Kept) {
	h.t.Helper()
	ctx := h.t.Context()
	eventually(h.t, "the loss is seen", func() bool {
		c, err := h.desk.Condition(ctx, h.layout.Event.ID)
		return err == nil && !c.Whole()
	})
	if err := h.desk.BeginRebuild(ctx, h.layout, epoch); err != nil {
		h.t.Fatal(err)
	}
	_, err := h.hold("buy_nobody", "", floor(1))
	wantLater(h.t, err, onsale.CodeRecovering)
	if err := h.desk.FinishRebuild(ctx, h.layout, epoch, onsale.SaleOpen, kept); err != nil {
		h.t.Fatal(err)
	}
}
