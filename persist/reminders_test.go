package persist

import (
	"sync"
	"testing"
	"time"

	"onsale"
)

func TestChargeThatWasLostIsAskedForAgainEverLessOften(t *testing.T) {
	b := newBook(t)
	lost, paid := b.purchase(floor(1)), b.purchase(floor(1))
	charges, _ := b.claim(lost, paid)
	b.finalise(captured(paid))
	find := func(age time.Duration) []onsale.Charge {
		t.Helper()
		found, err := b.LostCharges(t.Context(), b.event.ID, age, 10)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := find(time.Hour); len(found) != 0 {
		t.Errorf("of a young order %+v", found)
	}
	var mu sync.Mutex
	var all []onsale.Charge
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			found, err := b.LostCharges(t.Context(), b.event.ID, time.Millisecond, 10)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			all = append(all, found...)
		})
	}
	wg.Wait()
	if len(all) == 0 || all[0].Order != lost.Order || all[0] != charges[0] {
		t.Errorf("found %+v, want the charge as it was: %+v", all, charges[0])
	}
	remind := func() (minutes int64) {
		t.Helper()
		if err := b.ChargesReminded(t.Context(), []onsale.OrderID{lost.Order}, time.Minute); err != nil {
			t.Fatal(err)
		}
		return b.number(`SELECT round(extract(epoch FROM next_at - now()) / 60) FROM charge_reminders`)
	}
	// Whoever has taken it dies before it is asked for: that counts for nothing.
	b.corrupt(`UPDATE charge_reminders SET next_at = now()`)
	if times := b.number(`SELECT times FROM charge_reminders`); times != 1 {
		t.Errorf("taken, and never asked for, it counts as %d times", times)
	}
	if first, second := remind(), remind(); first != 1 || second != 2 {
		t.Errorf("it comes again after %d and %d minutes", first, second)
	}
	b.corrupt(`UPDATE charge_reminders SET times = 6, next_at = now()`)
	if found := find(time.Hour / 60); len(found) != 0 {
		t.Errorf("of an order that is younger than the age: %+v", found)
	}
	b.corrupt(`UPDATE orders SET updated_at = now() - interval '1 hour'`)
	if found := find(time.Minute); len(found) != 1 {
		t.Errorf("an old one: %+v", found)
	}
	if found := find(time.Minute); len(found) != 0 {
		t.Errorf("while it is its taker's: %+v", found)
	}
	if minutes := remind(); minutes != 32 {
		t.Errorf("after five times it comes again in %d minutes, want 32", minutes)
	}
	if found := find(time.Minute); len(found) != 0 {
		t.Errorf("before that: %+v", found)
	}
}

func TestRemindersOfChargesThatHaveTheirResultAreForgotten(t *testing.T) {
	b := newBook(t)
	paid, refused, waiting := b.purchase(floor(1)), b.purchase(floor(1)), b.purchase(floor(1))
	b.claim(paid, refused, waiting)
	if found, err := b.LostCharges(t.Context(), b.event.ID, 0, 10); err != nil || len(found) != 3 {
		t.Fatalf("%d found, %v", len(found), err)
	}
	b.finalise(captured(paid), declined(refused))
	for _, want := range []int64{1, 1, 0} { // one at a time
		if n, err := b.ForgetReminders(t.Context(), 1); err != nil || n != want {
			t.Errorf("%d forgotten, %v", n, err)
		}
	}
	if left := b.number(`SELECT count(*) FROM charge_reminders WHERE order_id = '` + string(waiting.Order) + `'`); left != 1 {
		t.Error("the reminder of a charge without a result is forgotten")
	}
}
