package faults

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"onsale/internal/cable"
)

// greeter says a letter to everyone who calls.
func greeter(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "x")
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func wired(t *testing.T) *wiring {
	t.Helper()
	w := newWiring()
	at := greeter(t)
	for _, p := range w.parts() {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	for _, target := range targets {
		w.lead(target, at)
	}
	return w
}

// reaches reports whether from reaches to.
func (w *wiring) reaches(t *testing.T, from, to Target) bool {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr(from, to))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err == nil
}

func TestWhatBefallsATargetBefallsWhomItCallsAndWhoCallsItAndNobodyElse(t *testing.T) {
	w := wired(t)
	lift := w.impose(Settle, cable.Weather{Out: true})
	for e, want := range map[ends]bool{
		{Settle, Redis}: false, {Settle, Postgres}: false, {Settle, Payment}: false,
		{Front, Redis}: true, {buyers, Front}: true, {anybody, Kafka}: true,
	} {
		if got := w.reaches(t, e.from, e.to); got != want {
			t.Errorf("%s reaches %s: %v", e.from, e.to, got)
		}
	}
	lift()
	liftRedis := w.impose(Redis, cable.Weather{Out: true})
	if w.reaches(t, Settle, Redis) || w.reaches(t, Front, Redis) || !w.reaches(t, Settle, Postgres) {
		t.Error("it is not Redis that was cut off, or not from everybody")
	}
	liftRedis()
}

func TestOfTwoFaultsOnOneCableEachLastsUntilItIsLifted(t *testing.T) {
	w := wired(t)
	first := w.impose(Settle, cable.Weather{Out: true})
	second := w.impose(Redis, cable.Weather{Out: true})
	second()
	if w.reaches(t, Settle, Redis) {
		t.Error("lifting one lifted both")
	}
	if !w.reaches(t, Front, Redis) {
		t.Error("what was lifted is felt")
	}
	first()
	if !w.reaches(t, Settle, Redis) {
		t.Error("what was lifted is felt")
	}
}
