package epoll

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestARingEndsASleepAndIsNotLostBeforeIt(t *testing.T) {
	t.Parallel()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	events := make([]unix.EpollEvent, 4)
	for range 2 {
		l.Ring()
		if n := l.Sleep(events, time.Minute); n != 1 || events[0].Fd != Alarm {
			t.Errorf("%d events, of %d", n, events[0].Fd)
		}
	}
	if n := l.Sleep(events, time.Millisecond); n != 0 {
		t.Errorf("%d events though nothing has come", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := l.Sleep(events, 0); n != 0 {
		t.Errorf("%d events of a list that is closed", n)
	}
}

// A closed list's alarm may be another file's descriptor by now.
func TestAClosedListRingsNobody(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	alarm := l.alarm
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := os.CreateTemp(t.TempDir(), "other")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }() // it is only looked at
	if err := unix.Dup3(int(other.Fd()), alarm, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(alarm) }()
	l.Ring()
	if info, err := other.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%v bytes are written to another file, %v", info, err)
	}
}
