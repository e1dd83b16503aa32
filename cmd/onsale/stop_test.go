package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

// atOnce is how long may pass until a command has stopped that is asked to.
const atOnce = 10 * time.Second

func TestADemoStopsWithItsChildren(t *testing.T) {
	t.Parallel()
	folder := storestest.Folder(t)
	demo := begin(t, "demo", "--port", "0", "--data", folder, "--storm", "0")
	demo.until(t, `still serving`)
	if children := using(t, folder); len(children) < 3 { // the demo, Redis and Postgres
		t.Fatalf("children: %v", children)
	}
	demo.interrupt(t)
	if left := using(t, folder); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// An audit that waits for an order under way is the slowest request there is.
func TestAWaitingAuditDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	demo := begin(t, "demo", "--port", "0", "--data", storestest.Folder(t), "--storm", "0", "--admin-token", "operator")
	url := demo.until(t, `^serving (http://\S+)`)[1]
	w := newWitnesses(t, url, demo.until(t, `this event .*/#/events/(\S+)`)[1])
	demo.until(t, `still serving`)
	var session struct{ Token string }
	var hold onsale.Hold
	var order onsale.Order
	w.ask(t.Context(), "POST", "/v1/sessions", "", "", &session)
	w.ask(t.Context(), "POST", "/v1/events/"+w.event+"/holds", session.Token, `{"lines":[{"section":"floor","quantity":1}]}`, &hold)
	if status := w.ask(t.Context(), "POST", "/v1/holds/"+string(hold.ID)+"/checkout", session.Token, `{"payment_token":"tok_delay_60000"}`, &order); status != 202 {
		t.Fatalf("checkout: %d", status)
	}
	operator := newWitnesses(t, url, w.event) // on a connection of its own
	audited := make(chan int, 1)
	go func() {
		audited <- operator.ask(context.Background(), "GET", "/v1/admin/events/"+w.event+"/audit?wait=60", "operator", "", &struct{}{})
	}()
	eventually(t, "the audit waits beside the buyer's connection and this one", func() bool {
		return strings.Contains(metricsOf(t, url), "onsale_http_connections_open 3")
	})
	begun := time.Now()
	demo.interrupt(t)
	if took := time.Since(begun); took > atOnce {
		t.Errorf("stopping took %v", took)
	}
	if status := <-audited; status != 0 && status < 500 {
		t.Errorf("the audit is answered %d", status)
	}
}

func metricsOf(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestADemoWhoseStoreDiesInMidStormEndsAndSaysWhich(t *testing.T) {
	t.Parallel()
	folder := storestest.Folder(t)
	demo := begin(t, "demo", "--port", "0", "--data", folder, "--storm", "600")
	demo.until(t, `^storm .*sold [1-9]`)
	pid, err := os.ReadFile(filepath.Join(folder, "redis", "redis.pid"))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(number, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	demo.until(t, `^onsale: redis-server ended by itself \(signal: killed\)`)
	<-demo.ended
	if code := demo.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit %d, want %d", code, exitFailed)
	}
	if left := using(t, folder); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

func TestABenchThatIsKilledTakesItsOnsaleAlong(t *testing.T) {
	t.Parallel()
	tmp := storestest.Folder(t)
	bench := onsaleCommand(context.Background(), "bench", "rush", "--embedded", "--users", "300", "--over", "60s")
	// Whatever is set for another Onsale must not reach the bench's own.
	bench.Env = append(bench.Env, "TMPDIR="+tmp, "ONSALE_REDIS=redis://127.0.0.1:1/0", "ONSALE_ADMIN_TOKEN=another", "ONSALE_CONFIG=/nonexistent")
	p := beginCommand(t, bench)
	t.Cleanup(func() {
		for pid := range using(t, tmp) { // only if the promise is broken
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	p.until(t, `sold [1-9]`)
	running := using(t, tmp)
	if len(running) < 3 { // the demo, Redis and Postgres
		t.Fatalf("running: %v", running)
	}
	for _, line := range running {
		if strings.Contains(line, "token") {
			t.Errorf("a secret on a command line: %s", line)
		}
	}
	if err := p.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything it started ends", func() bool { return len(using(t, tmp)) == 0 })
}

func TestARoleWithoutItsPortSaysOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	demo := begin(t, "stores", "--data", storestest.Folder(t))
	var args []string
	for len(args) < 10 {
		m := demo.until(t, `^export ONSALE_([A-Z_]+)='(.*)'$`)
		if name := strings.ToLower(strings.ReplaceAll(m[1], "_", "-")); name != "admin-token" && name != "webhook-secret" && name != "kafka-prefix" {
			args = append(args, "--"+name, m[2])
		}
	}
	for _, role := range []string{"serve", "feed", "settle"} {
		code, stdout, stderr := run(t, append([]string{role, "--listen", taken.Addr().String()}, args...)...)
		if code != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--listen") {
			t.Errorf("%s: exit %d\n%s%s", role, code, stdout, stderr)
		}
	}
}

// using lists the processes that were started with the folder, or in it: their
// command lines by their numbers.
func using(t *testing.T, folder string) map[int]string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, p := range processes {
		text, _ := os.ReadFile(p + "/cmdline") // gone meanwhile: not using it
		where, _ := os.Readlink(p + "/cwd")    // as above
		line := strings.ReplaceAll(string(text), "\x00", " ")
		if strings.Contains(line, folder) || strings.HasPrefix(where, folder) {
			pid, err := strconv.Atoi(filepath.Base(p))
			if err != nil {
				t.Fatal(err)
			}
			found[pid] = line
		}
	}
	return found
}
