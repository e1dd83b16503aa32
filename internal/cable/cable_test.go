package cable

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// echo answers every byte with itself, until its clients' ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func start(t *testing.T, target string) *Cable {
	t.Helper()
	c := New()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c.Lead(target)
	return c
}

func dial(t *testing.T, c *Cable) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func ask(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len(text))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != text {
		t.Fatalf("%q, %v", answer, err)
	}
}

// wantReset sees that the connection is reset, which no orderly end looks like.
func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("it ended with %v", err)
	}
}

// wantRefused sees that a new connection is reset, at once or soon.
func wantRefused(t *testing.T, c *Cable) {
	t.Helper()
	conn, err := net.Dial("tcp", c.Addr())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	wantReset(t, conn)
}

func TestBytesPassUnchangedToTheLastOne(t *testing.T) {
	conn := dial(t, start(t, echo(t)))
	sent := bytes.Repeat([]byte("onsale"), 1<<20)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it is one
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes came: %v", len(got), len(sent), err)
	}
}

func TestACutResetsWhatIsThereAndLetsTheNextThrough(t *testing.T) {
	c := start(t, echo(t))
	conn := dial(t, c)
	ask(t, conn, "a")
	c.Cut()
	wantReset(t, conn)
	ask(t, dial(t, c), "b")
}

func TestACablePulledOutResetsEveryConnectionUntilItIsPutBack(t *testing.T) {
	c := start(t, echo(t))
	before := dial(t, c)
	ask(t, before, "a")
	c.Set(Weather{Out: true})
	wantReset(t, before)
	wantRefused(t, c)
	c.Set(Weather{})
	ask(t, dial(t, c), "b")
}

func TestABlockedCableKeepsWhatIsSentUntilItIsFree(t *testing.T) {
	c := start(t, echo(t))
	conn := dial(t, c)
	ask(t, conn, "a")
	c.Set(Weather{Blocked: true})
	if _, err := io.WriteString(conn, "b"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("%d bytes passed, %v", n, err)
	}
	c.Set(Weather{})
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("%d bytes came after it, %v", n, err)
	}
}

func TestADelayIsWaitedForAndBetterWeatherEndsIt(t *testing.T) {
	c := start(t, echo(t))
	conn := dial(t, c)
	const delay = 50 * time.Millisecond
	c.Set(Weather{Delay: delay, Rate: 1 << 20})
	begun := time.Now()
	ask(t, conn, "a")
	if took := time.Since(begun); took < 2*delay { // it passes twice
		t.Errorf("it came back after %v", took)
	}
	c.Set(Weather{Delay: time.Hour})
	if _, err := io.WriteString(conn, "b"); err != nil {
		t.Fatal(err)
	}
	c.Set(Weather{})
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("%d bytes came, %v", n, err)
	}
}

func TestNewConnectionsGoWhereTheCableLeadsNow(t *testing.T) {
	c := start(t, "")
	wantRefused(t, c)
	c.Lead(echo(t))
	ask(t, dial(t, c), "a")
}
