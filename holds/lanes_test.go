package holds

import (
	"errors"
	"slices"
	"testing"
	"time"

	"onsale"
)

func opsOf(name string, n int) []*operation {
	ops := make([]*operation, n)
	for i := range ops {
		ops[i] = newOperation(name, "", onsale.BuyerID(name))
	}
	return ops
}

func TestACrowdOfOneKindHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	var q lanes
	q.add(opsOf("general", 10_000))
	q.add(opsOf("confirm", 500))
	q.add(opsOf("pin", 3))
	counts := map[string]int{}
	for _, op := range q.take(maxBatch) {
		counts[op.name]++
	}
	if counts["pin"] != 3 {
		t.Errorf("the first call has %d of 3 pins", counts["pin"])
	}
	if share := (maxBatch - 3) / 2; counts["confirm"] < share || counts["general"] < share {
		t.Errorf("the first call has %v: not shared evenly", counts)
	}
}

func TestLanesKeepTheOrderOfEachKind(t *testing.T) {
	t.Parallel()
	var q lanes
	holds, looks := opsOf("hold", 100), opsOf("look", 40)
	q.add(holds)
	q.add(looks)
	var got [laneCount][]*operation
	for round := 0; ; round++ {
		batch := q.take(7)
		if len(batch) == 0 {
			break
		}
		done := batch
		if round%3 == 0 { // Redis had time for some only
			done = batch[:len(batch)/2]
			q.giveBack(batch[len(done):])
		}
		for _, op := range done {
			got[laneOf[op.name]] = append(got[laneOf[op.name]], op)
		}
	}
	for l, want := range map[lane][]*operation{laneHolds: holds, laneOwners: looks} {
		if len(got[l]) != len(want) {
			t.Fatalf("lane %d: %d of %d came out", l, len(got[l]), len(want))
		}
		for i := range want {
			if got[l][i] != want[i] {
				t.Fatalf("lane %d: not in order at %d", l, i)
			}
		}
	}
}

// Who was told 202 and looks at once finds the purchase accepted, however much settlement waits.
func TestALookComesAfterTheAcceptanceBeforeIt(t *testing.T) {
	t.Parallel()
	var q lanes
	q.add(opsOf("confirm", 500))
	q.add(opsOf("accept", 1))
	q.add(opsOf("look", 1))
	var order []string
	for _, op := range q.take(maxBatch) {
		if op.name != "confirm" {
			order = append(order, op.name)
		}
	}
	if !slices.Equal(order, []string{"accept", "look"}) {
		t.Errorf("the first call has %q", order)
	}
}

func TestLanesAreBounded(t *testing.T) {
	t.Parallel()
	var q lanes
	q.add(opsOf("hold", maxQueued))
	if q.fits(opsOf("hold", 1)) {
		t.Error("one more hold fits")
	}
	if !q.fits(opsOf("pin", 1)) {
		t.Error("holds leave no room for a pin")
	}
}

func TestOnlyWhoHasWaitedForLongIsOverdue(t *testing.T) {
	t.Parallel()
	var q lanes
	old, young := opsOf("hold", 2), opsOf("hold", 2)
	for _, op := range old {
		op.came = op.came.Add(-time.Minute)
	}
	q.add(old)
	q.add(young)
	if late := q.overdue(time.Now().Add(-maxWait)); len(late) != 2 || late[0] != old[0] || late[1] != old[1] {
		t.Errorf("%d are overdue, want the two old ones", len(late))
	}
	if rest := q.take(10); len(rest) != 2 || rest[0] != young[0] {
		t.Errorf("%d are left, want the two young ones", len(rest))
	}
}

func TestAHoldThatWaitedIntoAnotherEpochIsNotAskedUnderItsOldID(t *testing.T) {
	t.Parallel()
	old := newOperation("general", onsale.NewHoldID("concert", 4), "buy_a")
	same := newOperation("general", onsale.NewHoldID("concert", 5), "buy_b")
	pin := newOperation("pin", onsale.NewHoldID("concert", 4), "buy_c", "0") // it may have been kept
	kept := ofEpoch([]*operation{old, same, pin}, 5)
	if len(kept) != 2 || kept[0] != same || kept[1] != pin {
		t.Errorf("%d are asked, want the new hold and the pin", len(kept))
	}
	if _, err := old.await(); !errors.Is(err, status{word: "epoch", epoch: 5}) {
		t.Errorf("the old one is answered %v", err)
	}
}
