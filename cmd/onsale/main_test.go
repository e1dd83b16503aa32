package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/rueidis"

	"onsale"
	"onsale/internal/stores/storestest"
)

// runAsCommand makes this test binary the command. It is no setting of Onsale's,
// since the bench starts its own Onsale without any.
const runAsCommand = "RUN_AS_ONSALE"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCommand) != "" {
		main()
	}
	storestest.Main(m)
}

// onsaleCommand is this very binary as the command.
func onsaleCommand(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), runAsCommand+"=1", "ONSALE_SECRET="+strings.Repeat("s", 32))
	return c
}

// run runs the command and returns its exit code and what it printed.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	c := onsaleCommand(t.Context(), args...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// process is a command that runs, with the lines it has printed.
type process struct {
	*exec.Cmd
	lines chan string // of both outputs; closed when it has ended
	ended chan struct{}
}

func begin(t *testing.T, args ...string) *process {
	t.Helper()
	return beginCommand(t, onsaleCommand(context.Background(), args...))
}

func beginCommand(t *testing.T, c *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: c, lines: make(chan string, 10_000), ended: make(chan struct{})}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stderr = p.Stdout
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
		close(p.lines)
		_ = p.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// until returns the first line that matches, which must come.
func (p *process) until(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var seen []string
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-p.lines:
			if !open {
				t.Fatalf("ended without a line like %q:\n%s", pattern, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-deadline:
			t.Fatalf("no line like %q:\n%s", pattern, strings.Join(seen, "\n"))
		}
	}
}

func TestSeparateRolesSellTogetherAndTheAuditorFindsWhatIsBrokenKafka(t *testing.T) {
	t.Parallel()
	stores := begin(t, append([]string{"stores", "--data", storestest.Folder(t)}, kafkaFlags(t)...)...)
	env := map[string]string{}
	for len(env) < 8 {
		m := stores.until(t, `^export (ONSALE_[A-Z_]+)='(.*)'$`)
		env[m[1]] = m[2]
	}
	with := func(args ...string) []string {
		return append(args, "--redis", env["ONSALE_REDIS"], "--postgres", env["ONSALE_POSTGRES"], "--kafka", env["ONSALE_KAFKA"], "--kafka-prefix", env["ONSALE_KAFKA_PREFIX"],
			"--payments", env["ONSALE_PAYMENTS"], "--secret", env["ONSALE_SECRET"])
	}
	const served = `url=(http://\S+)`
	begin(t, with("settle", "--listen", "127.0.0.1:0")...).until(t, served)
	front := begin(t, with("serve", "--listen", "127.0.0.1:0", "--admin-token", "operator")...).until(t, served)[1]
	feed := begin(t, with("feed", "--listen", "127.0.0.1:0")...).until(t, served)[1]

	report := filepath.Join(t.TempDir(), "rush.json")
	code, stdout, stderr := run(t, "bench", "rush", "--users", "100", "--over", "1s", "--most-late", "1m", "--target", front, "--feed", feed,
		"--admin-token", "operator", "--json", report)
	if code != 0 {
		t.Fatalf("rush: exit %d\n%s%s", code, stdout, stderr)
	}
	if text, err := os.ReadFile(report); err != nil || !strings.Contains(string(text), `"scenario"`) {
		t.Errorf("report: %v\n%s", err, text)
	}

	code, stdout, _ = run(t, with("event", "list")...)
	m := regexp.MustCompile(`(?m)^(rush\S*)\s`).FindStringSubmatch(stdout)
	if code != 0 || m == nil {
		t.Fatalf("list: exit %d\n%s", code, stdout)
	}
	event := m[1]
	if code, stdout, stderr = run(t, with("event", "audit", "--wait", "30s", event)...); code != 0 {
		t.Fatalf("audit: exit %d\n%s%s", code, stdout, stderr)
	}
	bounded := begin(t, with("feed", "--listen", "127.0.0.1:0", "--max-feeds-per-ip", "1")...).until(t, served)[1]
	if first, second := watch(t, bounded, event), watch(t, bounded, event); first != http.StatusSwitchingProtocols || second != http.StatusServiceUnavailable {
		t.Errorf("two feeds where one address may have one are answered %d and %d", first, second)
	}
	breakCount(t, env["ONSALE_REDIS"], event)
	code, _, stderr = run(t, with("event", "audit", event)...)
	if code != exitBroken || !strings.Contains(stderr, "invariant 1 broken by") {
		t.Errorf("audit of broken counts: exit %d, want %d\n%s", code, exitBroken, stderr)
	}
}

// watch opens a feed, for as long as the test runs, and returns the answer's status.
func watch(t *testing.T, url, event string) int {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{onsale.FeedProtocol}}
	feed, answer, err := dialer.DialContext(t.Context(), strings.Replace(url, "http", "ws", 1)+"/v1/events/"+event+"/live", nil)
	if answer == nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // of a refusal; a feed has none
	if err == nil {
		t.Cleanup(func() { _ = feed.Close() })
	}
	return answer.StatusCode
}

// breakCount makes a section's counts in Redis add up to too much.
func breakCount(t *testing.T, url, event string) {
	t.Helper()
	opt, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opt.DisableCache = true
	client, err := rueidis.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	key := fmt.Sprintf("onsale:{%s}:meta", event)
	if err := client.Do(t.Context(), client.B().Hset().Key(key).FieldValue().FieldValue("c:0", "99999,0,0,0").Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

// kafkaFlags are for what would start a Kafka of its own: none, or those of the
// Apache Kafka that ONSALE_TEST_KAFKA names, and a prefix that no other test uses.
func kafkaFlags(t *testing.T) []string {
	t.Helper()
	named := os.Getenv(storestest.KafkaVariable)
	if named == "" {
		return nil
	}
	return []string{"--kafka", named, "--kafka-prefix", storestest.KafkaPrefix(t)}
}
