package holds

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"onsale"
)

func TestAStandInWithoutShardedPublishingIsMirroredToo(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	url := "redis://" + server.Addr() + "?client_cache=0"
	h := houseOn(t, url, nil)
	m := NewMirrors(h.desk, connect(t, url), func(event onsale.EventID) { t.Errorf("%s is amiss", event) }, quiet())
	t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	f := h.watch(m)
	h.bustle(20)
	h.sell(h.mustHold("buy_x", stand("B-2")))
	h.agrees(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resets != 1 {
		t.Errorf("%d resets where no delta was lost", f.resets)
	}
}
