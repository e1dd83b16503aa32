package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// What this test binary is when it isn't the tests: a process of a fleet, in one of
// these modes, or a whole fleet of such.
const (
	actAs        = "FLEET_TEST_ACTS_AS"
	serving      = "serving"              // a server that says its slot and pid
	dying        = "dying"                // serves, and exits with 7 at once
	broken       = "broken"               // exits with 5 before it serves
	stubborn     = "stubborn"             // serves, and won't end
	supervising  = "supervising"          // runs two that serve, and prints their URL
	breakingFile = "FLEET_TEST_BREAKS_IF" // serving becomes broken if this file exists
)

func TestMain(m *testing.M) {
	switch mode := os.Getenv(actAs); mode {
	case "":
		goleak.VerifyTestMain(m)
	case supervising:
		os.Exit(supervise())
	default:
		os.Exit(member(mode))
	}
}

// member is the life of a process of a fleet. It returns what to exit with.
func member(mode string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	place, err := Join()
	if err != nil || place == nil {
		fmt.Fprintln(os.Stderr, "no place:", err)
		return 1
	}
	if _, err := os.Stat(os.Getenv(breakingFile)); mode == broken || err == nil {
		return 5
	}
	text := fmt.Sprintf("%d/%d %d", place.Slot, place.Processes, os.Getpid())
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	listeners := []net.Listener{place.Listener, place.Own}
	var answering sync.WaitGroup
	for _, l := range listeners {
		answering.Go(func() { serve(l, answer) })
	}
	if err := place.Ready(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch mode {
	case dying:
		return 7
	case stubborn:
		<-context.Background().Done()
	}
	<-ctx.Done()
	for _, l := range listeners {
		_ = l.Close() // the sockets are the fleet's
	}
	answering.Wait()
	return 0
}

// serve answers one request of each connection until the listener is closed, and then
// those that were accepted. (http.Server.Shutdown forgets one that it has just accepted.)
func serve(l net.Listener, answer string) {
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		answering.Go(func() {
			defer c.Close()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, answer) // a client that is gone doesn't miss it
			}
		})
	}
}

// supervise runs a fleet, prints its URL, and ends when it is told to.
func supervise() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	port, err := Listen(ctx, "127.0.0.1:0", 2)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	own, err := ListenEach(ctx, "127.0.0.1:0", 2)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = Run(ctx, Config{Processes: 2, Port: port, Own: own, Command: acting(serving)}, func() { fmt.Println(port.URL(0)) })
	if err != nil {
		return 1
	}
	return 0
}

// acting returns the command of a process of the mode.
func acting(mode string, env ...string) func(int) *exec.Cmd {
	return func(int) *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(append(os.Environ(), actAs+"="+mode), env...)
		c.Stderr = os.Stderr
		return c
	}
}

// running is a fleet that runs until the test ends.
type running struct {
	url   string
	own   *Port
	roll  chan os.Signal
	log   *lines
	stop  context.CancelFunc
	ended chan struct{}
	err   error // what Run returned, once ended is closed
}

// run starts a fleet of processes that serve, and waits until they do.
func run(t *testing.T, cfg Config) *running {
	t.Helper()
	r := launch(t, cfg)
	eventually(t, "every process serves", func() bool { return strings.Contains(r.log.text(), "all serve") || done(r.ended) })
	if done(r.ended) {
		t.Fatal(r.err)
	}
	return r
}

func launch(t *testing.T, cfg Config) *running {
	t.Helper()
	port, err := Listen(t.Context(), "127.0.0.1:0", cfg.Processes)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ListenEach(t.Context(), "127.0.0.1:0", cfg.Processes)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{url: port.URL(0), own: own, roll: make(chan os.Signal, 1), log: &lines{}, ended: make(chan struct{})}
	if cfg.Command == nil {
		cfg.Command = acting(serving)
	}
	cfg.Port, cfg.Own, cfg.Roll, cfg.Log = port, own, r.roll, slog.New(slog.NewTextHandler(r.log, nil))
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() {
		defer close(r.ended)
		r.err = Run(ctx, cfg, func() { cfg.Log.Info("all serve") })
	}()
	t.Cleanup(func() {
		r.stop()
		<-r.ended
		if err := errors.Join(port.Close(), own.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// who returns the slot and pid of a process that answers at the URL, over a connection
// of its own.
func who(url string) (slot, pid int, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Get(url)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, 0, err
	}
	var of int
	_, err = fmt.Sscanf(string(text), "%d/%d %d", &slot, &of, &pid)
	return slot, pid, err
}

// pids are the processes in the slots now.
func (r *running) pids(t *testing.T) []int {
	t.Helper()
	var pids []int
	for i := range r.own.urls {
		slot, pid, err := who(r.own.URL(i))
		if err != nil || slot != i {
			t.Fatalf("slot %d answers as %d: %v", i, slot, err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	said strings.Builder // under mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}
