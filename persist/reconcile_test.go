package persist

import (
	"sync"
	"testing"
	"time"
)

func TestOrphanClaimsAreDroppedAndCountersMended(t *testing.T) {
	b := newBook(t)
	b.sold(stalls("B-1"), floor(2))
	ended := b.purchase(stalls("A-1", "A-2"))
	b.claim(ended)
	b.finalise(declined(ended))
	mend := func() (claims, counters int64) {
		t.Helper()
		claims, counters, err := b.MendClaims(t.Context(), b.event.ID)
		if err != nil {
			t.Fatal(err)
		}
		return claims, counters
	}
	if claims, counters := mend(); claims+counters != 0 {
		t.Errorf("of a book that is right it mends %d, %d", claims, counters)
	}
	b.corrupt(`INSERT INTO claims VALUES ('gala', '`+string(ended.Order)+`', 'stalls', 'A-1', 1), ('gala', 'ord_gala_1_nobody', 'floor', '', 3)`,
		`UPDATE sections SET claimed = claimed + 3 WHERE section = 'floor'`, `UPDATE sections SET claimed = claimed + 1 WHERE section = 'stalls'`)
	var mu sync.Mutex
	var claims, counters int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, n, err := b.MendClaims(t.Context(), b.event.ID)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			claims, counters = claims+c, counters+n
		})
	}
	wg.Wait()
	if claims != 2 || counters != 0 {
		t.Errorf("%d orders' claims and %d counters, want 2 and 0", claims, counters)
	}
	b.corrupt(`UPDATE sections SET claimed = 9 WHERE section = 'floor'`)
	if claims, counters := mend(); claims != 0 || counters != 1 {
		t.Errorf("%d claims and %d counters, want 0 and 1", claims, counters)
	}
	b.sold(stalls("A-1"), floor(3)) // they can be sold again
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestWhatCantBeMendedIsCounted(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(1))
	open := b.purchase(floor(1))
	b.claim(open)
	second := captured(p)
	second.Reference = "ch_second"
	b.finalise(second)
	want := func(what string, overdue time.Duration, want map[string]int64) {
		t.Helper()
		got, err := b.Unmended(t.Context(), b.event.ID, overdue)
		if err != nil {
			t.Fatal(err)
		}
		for kind, n := range got {
			if n != want[kind] {
				t.Errorf("%s: %d %s, want %d", what, n, kind, want[kind])
			}
		}
	}
	want("young", time.Hour, nil)
	want("late", 0, map[string]int64{"charge_without_result": 1, "refund_overdue": 1})
	b.refuseRefunds()
	b.corrupt(`DELETE FROM claims WHERE order_id = '` + string(p.Order) + `'`)
	want("broken", time.Hour, map[string]int64{"refund_refused": 1, "order_without_claim": 1})
}
