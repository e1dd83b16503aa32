package lifecycle

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"onsale"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStopReturnsWhenEverythingHasStopped(t *testing.T) {
	var g Group
	ended := make(chan struct{})
	started := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	g.Go(ctx, func(ctx context.Context) {
		close(started)
		<-ctx.Done()
		close(ended)
	})
	<-started
	cancel() // the starter's context bounds the starting, not the life
	select {
	case <-ended:
		t.Fatal("ended with the starter's context")
	case <-time.After(20 * time.Millisecond):
	}
	for range 2 {
		if err := g.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-ended:
	default:
		t.Error("Stop returned before the goroutine had ended")
	}
	if g.Go(context.Background(), func(context.Context) { t.Error("ran after Stop") }) {
		t.Error("Go after Stop says that it runs")
	}
}

func TestStopGivesUpWhenItsContextEnds(t *testing.T) {
	var g Group
	release := make(chan struct{})
	g.Go(t.Context(), func(context.Context) { <-release })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := g.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestGoroutinesThatEndedAreForgotten(t *testing.T) {
	var g Group
	for range 100 {
		g.Go(t.Context(), func(context.Context) {})
	}
	g.wg.Wait()
	if len(g.cancels) != 0 {
		t.Errorf("%d remembered", len(g.cancels))
	}
}

// part notes what happens to it.
type part struct {
	name string
	fail error
	log  *[]string
}

func (p part) Start(context.Context) error {
	*p.log = append(*p.log, "start "+p.name)
	return p.fail
}

func (p part) Stop(context.Context) error {
	*p.log = append(*p.log, "stop "+p.name)
	return nil
}

func TestAChainStopsInReverseWhatItHasStarted(t *testing.T) {
	var log []string
	broken := errors.New("broken")
	c := Chain{Parts: []Part{part{"a", nil, &log}, part{"b", nil, &log}, part{"c", broken, &log}, part{"d", nil, &log}}}
	if err := c.Start(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if want := []string{"start a", "start b", "start c", "stop b", "stop a"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
}

// slow is a part that stops when its time is up, and notes how long that was.
type slow struct{ had *time.Duration }

func (slow) Start(context.Context) error { return nil }

func (s slow) Stop(ctx context.Context) error {
	begun := time.Now()
	<-ctx.Done()
	*s.had = time.Since(begun)
	return ctx.Err()
}

func TestAPartThatHangsTakesNoTimeFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, second time.Duration
		c := Chain{Parts: []Part{slow{&first}, slow{&second}}}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Stop(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if first != onsale.StopTimeout || second != onsale.StopTimeout {
			t.Errorf("they had %v and %v", first, second)
		}
	})
}
