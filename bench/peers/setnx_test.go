package peers

import (
	"errors"
	"testing"
	"time"
)

func TestWhoWasTooSlowUnderALockWritesNothingAndLeavesTheNextOnesLock(t *testing.T) {
	t.Parallel()
	peer, err := openSetNX(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
	}()
	open(t, peer, "slow", 10, 5)
	s, q := peer.(setNX), Request{"slow", "ann", "1"}
	lock := stockKey(q.Event) + ":lock"
	if err := s.client.Do(t.Context(), s.client.B().Set().Key(lock).Value("the next one").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	read := s.client.DoMulti(t.Context(), q.reads(s.client.B())...)
	if _, err := s.holdLocked(t.Context(), q, "ours", time.Now().Add(-lockSafe-time.Second), read); !errors.Is(err, ErrBusy) {
		t.Errorf("the error is %v", err)
	}
	if owner, err := s.client.Do(t.Context(), s.client.B().Get().Key(lock).Build()).ToString(); err != nil || owner != "the next one" {
		t.Errorf("the lock is of %q, %v", owner, err)
	}
	audit(t, peer, "slow", 0)
}
