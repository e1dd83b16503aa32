package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) {
	if os.Getenv("ONSALE_TEST_RUN_AS_COMMAND") != "" {
		main()
	}
	storestest.Main(m)
}

// onsaleCommand is this very binary as the command.
func onsaleCommand(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), "ONSALE_TEST_RUN_AS_COMMAND=1", "ONSALE_SECRET="+strings.Repeat("s", 32))
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

func TestWrongUseIsOneLineAndExitsWith2(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	settings := filepath.Join(t.TempDir(), "onsale.yaml")
	if err := os.WriteFile(settings, []byte("colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _ := storestest.Redis(t)
	for promise, test := range map[string]struct {
		args []string
		says string
	}{
		"an unknown flag":            {[]string{"serve", "--colour", "red"}, "--help"},
		"a flag of the wrong type":   {[]string{"demo", "--storm", "many"}, "storm"},
		"a storm below 0":            {[]string{"demo", "--storm", "-1"}, "--storm"},
		"a port that is none":        {[]string{"demo", "--port", "70000"}, "--port"},
		"a port in use":              {[]string{"demo", "--port", port}, "--port"},
		"an argument too many":       {[]string{"serve", "now"}, "--help"},
		"a secret too short":         {[]string{"serve", "--secret", "short"}, "--secret"},
		"a log level that is none":   {[]string{"serve", "--log-level", "loud"}, "--log-level"},
		"a setting that is none":     {[]string{"serve", "--config", settings}, "colour"},
		"a settings file that isn't": {[]string{"serve", "--config", settings + "x"}, "no such file"},
		"an unreachable Redis":       {[]string{"serve", "--redis", "redis://127.0.0.1:1/0"}, "--redis"},
		"a Redis URL that is none":   {[]string{"serve", "--redis", "nonsense"}, "redis"},
		"an unreachable Postgres":    {[]string{"serve", "--redis", url, "--postgres", "postgres://x@127.0.0.1:1/x"}, "Postgres"},
		"a Postgres URL that isn't":  {[]string{"migrate", "--postgres", "nonsense"}, "postgres://"},
		"an event without an id":     {[]string{"event", "open"}, "--help"},
		"a bench of nobody":          {[]string{"bench", "rush", "--users", "-1"}, "users"},
	} {
		t.Run(promise, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := run(t, test.args...)
			if code != exitUsage || strings.Count(strings.TrimSpace(stderr), "\n") != 0 || !strings.Contains(stderr, test.says) {
				t.Errorf("exit %d, want %d and one line with %q:\n%s", code, exitUsage, test.says, stderr)
			}
		})
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"demo"}, {"serve"}, {"feed"}, {"settle"}, {"migrate"}, {"event"}, {"event", "audit"}, {"bench"},
		{"bench", "rush"}, {"stores"}, {"paysim"}, {"version"}} {
		code, stdout, stderr := run(t, append(args, "--help")...)
		if code != 0 || !strings.Contains(stdout, "USAGE") || stderr != "" {
			t.Errorf("%v --help: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// process is a command that runs, with the lines it has printed.
type process struct {
	*exec.Cmd
	lines chan string // of both outputs; closed when it has ended
	ended chan struct{}
}

func begin(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: onsaleCommand(context.Background(), args...), lines: make(chan string, 10_000), ended: make(chan struct{})}
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

func TestADemoKilledInMidStormLosesNoAcceptedOrderKafka(t *testing.T) {
	t.Parallel()
	folder := storestest.Folder(t)
	demo := begin(t, "demo", "--port", "0", "--data", folder, "--storm", "600")
	demo.until(t, `^storm .*sold [1-9]\d`)
	if err := demo.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-demo.ended

	code, stdout, stderr := run(t, "demo", "--port", "0", "--data", folder, "--storm", "0", "--exit")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	m := regexp.MustCompile(`orders: (\d+) ticketed, \d+ declined, 0 rejected, \d+ refunded, 0 open`).FindStringSubmatch(stdout)
	if m == nil || m[1] == "0" || !strings.Contains(stdout, "oversold 0, lost 0, double charges 0; every invariant holds") {
		t.Errorf("audit after the kill:\n%s", stdout)
	}
}

func TestADemoStopsWithItsChildren(t *testing.T) {
	t.Parallel()
	folder := storestest.Folder(t)
	demo := begin(t, "demo", "--port", "0", "--data", folder, "--storm", "0")
	demo.until(t, `still serving`)
	if children := using(t, folder); len(children) < 2 {
		t.Fatalf("children: %v", children)
	}
	if err := demo.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-demo.ended
	if code := demo.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if left := using(t, folder); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// using lists the processes that were started with the folder, or in it, but for our own commands.
func using(t *testing.T, folder string) []string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range processes {
		text, _ := os.ReadFile(p + "/cmdline") // gone meanwhile: not using it
		where, _ := os.Readlink(p + "/cwd")    // as above
		line := strings.ReplaceAll(string(text), "\x00", " ")
		if (strings.Contains(line, folder) || strings.HasPrefix(where, folder)) && !strings.Contains(line, " demo ") {
			found = append(found, line)
		}
	}
	return found
}

func TestSeparateRolesSellTogetherAndTheAuditorFindsWhatIsBrokenKafka(t *testing.T) {
	t.Parallel()
	stores := begin(t, "stores", "--data", storestest.Folder(t))
	env := map[string]string{}
	for len(env) < 7 {
		m := stores.until(t, `^export (ONSALE_[A-Z_]+)='(.*)'$`)
		env[m[1]] = m[2]
	}
	with := func(args ...string) []string {
		return append(args, "--redis", env["ONSALE_REDIS"], "--postgres", env["ONSALE_POSTGRES"], "--kafka", env["ONSALE_KAFKA"],
			"--payments", env["ONSALE_PAYMENTS"], "--secret", env["ONSALE_SECRET"])
	}
	const served = `url=(http://\S+)`
	begin(t, with("settle", "--listen", "127.0.0.1:0")...).until(t, served)
	front := begin(t, with("serve", "--listen", "127.0.0.1:0", "--admin-token", "operator")...).until(t, served)[1]
	feed := begin(t, with("feed", "--listen", "127.0.0.1:0")...).until(t, served)[1]

	report := filepath.Join(t.TempDir(), "rush.json")
	code, stdout, stderr := run(t, "bench", "rush", "--users", "100", "--over", "1s", "--target", front, "--feed", feed,
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
	breakCount(t, env["ONSALE_REDIS"], event)
	code, _, stderr = run(t, with("event", "audit", event)...)
	if code != exitBroken || !strings.Contains(stderr, "invariant 1 broken by") {
		t.Errorf("audit of broken counts: exit %d, want %d\n%s", code, exitBroken, stderr)
	}
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
