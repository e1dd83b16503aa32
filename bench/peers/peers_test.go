package peers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) {
	storestest.Main(m,
		// fasthttp's cleaner ends by itself, up to ten seconds after its server has ended.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// eachWay runs a test on every peer, with stores of its own.
func eachWay(t *testing.T, test func(t *testing.T, peer Peer)) {
	t.Helper()
	for _, name := range All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			way, _ := Find(name)
			peer, err := way.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := peer.Close(); err != nil {
					t.Error(err)
				}
			}()
			test(t, peer)
		})
	}
}

// The peers must be honest: what they sell faster than they may, they would win by.
func TestPeersKeepTheirPromises(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, peer Peer) {
		aBuyerHasNoMoreThanTheLimit(t, peer)
		aCrowdIsSoldWhatThereIs(t, peer)
		manyClicksAtOnceChangeNothing(t, peer)
	})
}

func aBuyerHasNoMoreThanTheLimit(t *testing.T, peer Peer) {
	t.Helper()
	open(t, peer, "limited", 4, 3)
	first := hold(t, peer, Request{"limited", "ann", "1"}, nil)
	given := map[int64]bool{first: true}
	for key, want := range map[string]error{"2": nil, "3": nil} {
		given[hold(t, peer, Request{"limited", "ann", key}, want)] = true
	}
	if len(given) != 3 {
		t.Errorf("three holds have the admissions %v", given)
	}
	hold(t, peer, Request{"limited", "ann", "4"}, ErrLimit)
	if again := hold(t, peer, Request{"limited", "ann", "1"}, nil); again != first {
		t.Errorf("the repeat has admission %d, want %d again", again, first)
	}
	if last := hold(t, peer, Request{"limited", "bob", "1"}, nil); given[last] || last < 1 || last > 4 {
		t.Errorf("bob, under a key that ann used too, has admission %d beside %v", last, given)
	}
	hold(t, peer, Request{"limited", "bob", "2"}, ErrNoneLeft)
	hold(t, peer, Request{"limited", "bob", "1"}, nil) // sold out, and his all the same
	audit(t, peer, "limited", 4)
}

// The crowd of 24 buyers asks for 72 admissions, of which there are 40.
func aCrowdIsSoldWhatThereIs(t *testing.T, peer Peer) {
	t.Helper()
	const buyers, wishes, capacity = 24, 3, 40
	open(t, peer, "crowded", capacity, wishes)
	var mu sync.Mutex
	given, refused := map[int64]int{}, 0 // under mu
	crowd(buyers, func(n int) {
		for wish := range wishes {
			admission, err := peer.Hold(t.Context(), Request{"crowded", fmt.Sprint("buyer ", n), fmt.Sprint(wish)})
			mu.Lock()
			switch {
			case err == nil:
				given[admission]++
			case errors.Is(err, ErrNoneLeft):
				refused++
			default:
				t.Errorf("buyer %d, wish %d: %v", n, wish, err)
			}
			mu.Unlock()
		}
	})
	for admission, times := range given {
		if times != 1 || admission < 1 || admission > capacity {
			t.Errorf("admission %d is given %d times", admission, times)
		}
	}
	if len(given) != capacity || refused != buyers*wishes-capacity {
		t.Errorf("%d are given and %d refused; want %d and %d", len(given), refused, capacity, buyers*wishes-capacity)
	}
	audit(t, peer, "crowded", capacity)
}

// Ann, who is known to the peer already, clicks eight times at once; then she wants eight more at once.
func manyClicksAtOnceChangeNothing(t *testing.T, peer Peer) {
	t.Helper()
	open(t, peer, "clicked", 20, 5)
	hold(t, peer, Request{"clicked", "ann", "first"}, nil)
	given := make([]int64, 8)
	crowd(len(given), func(n int) {
		var err error
		if given[n], err = peer.Hold(t.Context(), Request{"clicked", "ann", "same"}); err != nil {
			t.Errorf("click %d: %v", n, err)
		}
	})
	for n, admission := range given {
		if admission != given[0] {
			t.Errorf("click %d has admission %d, click 0 has %d", n, admission, given[0])
		}
	}
	audit(t, peer, "clicked", 2)
	crowd(8, func(n int) {
		_, err := peer.Hold(t.Context(), Request{"clicked", "ann", fmt.Sprint(n)})
		if err != nil && !errors.Is(err, ErrLimit) {
			t.Errorf("wish %d: %v", n, err)
		}
	})
	audit(t, peer, "clicked", 5)
}

// crowd calls one function many times at once, and waits.
func crowd(size int, each func(n int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for n := range size {
		all.Go(func() { <-start; each(n) })
	}
	close(start)
	all.Wait()
}

func open(t *testing.T, peer Peer, event string, capacity, limit int64) {
	t.Helper()
	if err := peer.Open(t.Context(), event, capacity, limit); err != nil {
		t.Fatal(err)
	}
}

func hold(t *testing.T, peer Peer, r Request, want error) int64 {
	t.Helper()
	admission, err := peer.Hold(t.Context(), r)
	if !errors.Is(err, want) {
		t.Errorf("%v: %v, want %v", r, err, want)
	}
	return admission
}

func audit(t *testing.T, peer Peer, event string, want int64) {
	t.Helper()
	if sold, err := peer.Sold(context.WithoutCancel(t.Context()), event); err != nil || sold != want {
		t.Errorf("%s has sold %d, %v; want %d", event, sold, err, want)
	}
}
