package reactor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func watching(t *testing.T) *Watch {
	t.Helper()
	w, err := NewWatch()
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for range 2 {
			check(t, w.Stop(ctx))
		}
	})
	return w
}

// pair returns two connected sockets: one for an owner, one for its peer.
func pair(t *testing.T) (own, peer int) {
	t.Helper()
	both, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	return both[0], both[1]
}

// reader is an owner that reads all there is, until its peer ends.
type reader struct {
	watch  *Watch
	socket *Socket
	each   func(*reader) // called after every read; may be nil

	mu    sync.Mutex
	got   bytes.Buffer // under mu
	rest  []byte       // under mu: to be written
	calls int          // under mu
	over  bool         // under mu
}

func (r *reader) Ready(what Ready, buffer []byte) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.over {
		panic("an owner is told of a socket that it has closed")
	}
	if what&Writable != 0 {
		r.rest, _ = r.socket.Offer(r.rest)
	}
	n, ended, err := r.socket.Read(buffer[:min(len(buffer), 100)])
	r.got.Write(buffer[:n])
	if ended || err != nil {
		r.over = true
		r.watch.Close(r.socket)
		return false
	}
	if r.each != nil {
		r.each(r)
	}
	return n == 100 || n > 0 && what&(Ending|Ended) != 0
}

func (r *reader) read(want string) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.got.String() == want
	}
}

func (r *reader) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

func (w *Watch) take(t *testing.T, fd int) *reader {
	t.Helper()
	r := &reader{watch: w}
	r.socket = NewSocket(fd, r)
	check(t, w.Add(r.socket, false))
	return r
}

func say(t *testing.T, fd int, text string) {
	t.Helper()
	_, err := unix.Write(fd, []byte(text))
	check(t, err)
}

func TestAnOwnerIsToldOfAllThatComesAndOfTheEnd(t *testing.T) {
	t.Parallel()
	w := watching(t)
	own, peer := pair(t)
	say(t, peer, "before")
	r := w.take(t, own)
	eventually(t, "what came before is read", r.read("before"))
	say(t, peer, "after")
	eventually(t, "what comes after is read", r.read("beforeafter"))
	long := string(bytes.Repeat([]byte("x"), 12345)) // more than it reads at a time
	say(t, peer, long)
	check(t, unix.Close(peer))
	eventually(t, "it has ended", r.ended)
	if !r.read("beforeafter" + long)() {
		t.Errorf("%d bytes were read", r.got.Len())
	}
}

func TestAFullSocketIsToldOfWhenItTakesMore(t *testing.T) {
	t.Parallel()
	w := watching(t)
	own, peer := pair(t)
	r := w.take(t, own)
	huge := bytes.Repeat([]byte("0123456789"), 1<<18)
	r.mu.Lock()
	rest, err := r.socket.Offer(huge)
	r.rest = rest
	r.mu.Unlock()
	check(t, err)
	if len(rest) == 0 {
		t.Fatal("it took all")
	}
	check(t, unix.SetNonblock(peer, false))
	file := os.NewFile(uintptr(peer), "peer")
	got := make([]byte, len(huge))
	for read := 0; read < len(got); {
		n, err := file.Read(got[read:])
		check(t, err)
		read += n
	}
	if !bytes.Equal(got, huge) {
		t.Error("something else was written")
	}
	check(t, file.Close())
	eventually(t, "it has ended", r.ended)
}

func TestASocketThatIsShutEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	w := watching(t)
	own, peer := pair(t)
	r := w.take(t, own)
	r.socket.Shut()
	eventually(t, "it has ended", r.ended)
	check(t, unix.Close(peer))

	own, peer = pair(t)
	r = &reader{watch: w}
	r.socket = NewSocket(own, r)
	r.socket.Shut() // before anyone watches
	check(t, w.Add(r.socket, true))
	eventually(t, "it has ended", r.ended)
	check(t, unix.Close(peer))
}

func TestAnOwnerThatHasSomethingIsCalledThoughNothingComes(t *testing.T) {
	t.Parallel()
	w := watching(t)
	own, peer := pair(t)
	var calls atomic.Int64
	r := &reader{watch: w, each: func(*reader) { calls.Add(1) }}
	r.socket = NewSocket(own, r)
	check(t, w.Add(r.socket, true))
	eventually(t, "it is called for what it has, and as it takes something", func() bool { return calls.Load() >= 2 })
	check(t, unix.Close(peer))
	eventually(t, "it has ended", r.ended)
}

// A closed socket that somebody else has still open tells of itself, under a descriptor that is another's
// by now. Not in parallel: nobody else may get the descriptor.
func TestNoEventOfAClosedSocketReachesTheNextOwnerOfItsDescriptor(t *testing.T) {
	w := watching(t)
	own, peer := pair(t)
	elsewhere, err := unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
	check(t, err)
	old := w.take(t, own)
	old.socket.Shut() // its owner closes it
	eventually(t, "it has ended", old.ended)

	next, nextPeer := pair(t) // the system gives the lowest descriptor that is free
	if nextPeer == own {
		next, nextPeer = nextPeer, next
	}
	if next != own {
		t.Fatalf("descriptor %d was closed, and the next are %d and %d", own, next, nextPeer)
	}
	r := w.take(t, own)
	say(t, nextPeer, "mine")
	eventually(t, "it is read", r.read("mine"))
	r.mu.Lock()
	before := r.calls
	r.mu.Unlock()

	check(t, unix.Close(peer)) // which the old one, open elsewhere, tells of
	sentinel, last := pair(t)
	s := w.take(t, sentinel)
	say(t, last, "later")
	eventually(t, "what came later is read", s.read("later"))
	r.mu.Lock()
	if r.calls != before {
		t.Errorf("it was called %d times for another's events", r.calls-before)
	}
	r.mu.Unlock()
	for _, fd := range []int{elsewhere, nextPeer, last} {
		check(t, unix.Close(fd))
	}
	eventually(t, "both have ended", func() bool { return r.ended() && s.ended() })
}

// Sockets come and go while others are read, and each hears its own.
func TestSocketsThatComeAndGoHearTheirOwn(t *testing.T) {
	t.Parallel()
	w := watching(t)
	var crowd sync.WaitGroup
	for n := range 8 {
		crowd.Go(func() {
			for i := range 300 {
				own, peer := pair(t)
				r := w.take(t, own)
				text := fmt.Sprint(n, " ", i)
				say(t, peer, text)
				if i%3 == 0 {
					r.socket.Shut() // while it may be read
				} else {
					eventually(t, text, r.read(text))
				}
				check(t, unix.Close(peer))
				eventually(t, "it has ended", r.ended)
			}
		})
	}
	crowd.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for fd, s := range w.sockets {
		if s != nil {
			t.Errorf("descriptor %d is still watched", fd)
		}
	}
}
