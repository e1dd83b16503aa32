package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// gathering has a crew of one gathered at a port, and returns what came of it.
func gathering(t *testing.T, c *crew) (address string, gathered <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	r := &rush{}
	go func() { done <- c.gather(t.Context(), listener, workersToken, 1, r) }() // ends with the context of the test, if not before
	return listener.Addr().String(), done
}

func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the other side may have
	return conn
}

// dismiss ends a crew whose workers are the test's own.
func dismiss(ctx context.Context, c *crew) {
	c.stop(context.Canceled) // there is nobody to be asked
	_ = c.leave(ctx)
}

// One who says nothing may take joinWord; twelve of them, one after the other, would take all of joinPatience.
func TestStrangersWhoSayNothingKeepNoWorkerWaiting(t *testing.T) {
	t.Parallel()
	c := newCrew()
	address, gathered := gathering(t, c)
	for range 24 {
		dialed(t, address)
	}
	if err := json.NewEncoder(dialed(t, address)).Encode(tidings{Token: workersToken, Room: 7}); err != nil {
		t.Fatal(err)
	}
	if err := <-gathered; err != nil || len(c.hands) != 1 || c.hands[0].room != 7 {
		t.Errorf("%d workers, %v", len(c.hands), err)
	}
	dismiss(t.Context(), c)
}

func TestAStrangerWhoNeverEndsIsNotHeardOut(t *testing.T) {
	t.Parallel()
	c := newCrew()
	address, gathered := gathering(t, c)
	stranger := dialed(t, address)
	_, err := io.WriteString(stranger, `{"token": "`)
	said, much := 0, []byte(strings.Repeat("a", 64<<10))
	for ; err == nil && said < 64<<20; said += len(much) { // more than sockets keep
		_, err = stranger.Write(much)
	}
	if err == nil {
		t.Errorf("a stranger was let say %d bytes", said)
	}
	c.stop(context.Canceled)
	if err := <-gathered; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestAWorkerThatCannotStartIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCrew()
	_, gathered := gathering(t, c)
	if err := c.start(exec.Command("sh", "-c", "exit 7")); err != nil {
		t.Fatal(err)
	}
	if err := <-gathered; !errors.Is(err, errNoWorker) || !strings.Contains(err.Error(), "0 of 1 workers have joined") || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("it ended with %v", err)
	}
	dismiss(t.Context(), c)
}

// What is said is bounded one by one, however it comes.
func TestWhatIsSaidMayBeSoLongAndNoLonger(t *testing.T) {
	t.Parallel()
	const most = 100
	var said bytes.Buffer
	for range 50 {
		said.WriteString(`{"done": "` + strings.Repeat("a", most/2) + `"}`)
	}
	said.WriteString(`{"done": "` + strings.Repeat("a", 10*most) + `"}`)
	in := newHearing(&said)
	for n := range 50 {
		var heard tidings
		if err := in.next(&heard, most); err != nil || len(heard.Done) != most/2 {
			t.Fatalf("after %d: %q, %v", n, heard.Done, err)
		}
	}
	if err := in.next(new(tidings), most); !errors.Is(err, errTooMuch) {
		t.Errorf("what is too long is answered by %v", err)
	}
}

func TestAWorkerThatDiesIsNotAskedForItsClock(t *testing.T) {
	t.Parallel()
	c := newCrew()
	address, gathered := gathering(t, c)
	worker := dialed(t, address)
	if err := json.NewEncoder(worker).Encode(tidings{Token: workersToken}); err != nil {
		t.Fatal(err)
	}
	if err := <-gathered; err != nil {
		t.Fatal(err)
	}
	compared := make(chan error, 1)
	go func() { compared <- c.compareClocks(t.Context()) }() // ends with the worker
	if err := errors.Join(json.NewDecoder(worker).Decode(new(duty)), worker.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-compared; !errors.Is(err, errNoWorker) {
		t.Errorf("it ended with %v", err)
	}
	dismiss(t.Context(), c)
}
