package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onsale/internal/stores/storestest"
)

// installation starts stores and opens a sale of the arena. It returns what adds the
// stores' addresses to a command line.
func installation(t *testing.T) (with func(args ...string) []string, event string) {
	t.Helper()
	stores := begin(t, append([]string{"stores", "--data", storestest.Folder(t)}, kafkaFlags(t)...)...)
	env := map[string]string{}
	for len(env) < 8 {
		m := stores.until(t, `^export (ONSALE_[A-Z_]+)='(.*)'$`)
		env[m[1]] = m[2]
	}
	with = func(args ...string) []string {
		return append(args, "--redis", env["ONSALE_REDIS"], "--postgres", env["ONSALE_POSTGRES"], "--kafka", env["ONSALE_KAFKA"],
			"--kafka-prefix", env["ONSALE_KAFKA_PREFIX"], "--payments", env["ONSALE_PAYMENTS"], "--secret", env["ONSALE_SECRET"])
	}
	file := filepath.Join(t.TempDir(), "arena.yaml")
	writeFile(t, file, string(arena))
	event = regexp.MustCompile(`(?m)^id: (\S+)`).FindStringSubmatch(string(arena))[1]
	for _, args := range [][]string{{"event", "create"}, {"event", "open"}} {
		last := event
		if args[1] == "create" {
			last = file
		}
		if code, stdout, stderr := run(t, append(with(args...), last)...); code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
	return with, event
}

// front starts onsale serve in two processes, and returns where all and each are found.
func front(t *testing.T, with func(...string) []string) (p *process, url string, own []string) {
	t.Helper()
	p = begin(t, with("serve", "--procs", "2", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")...)
	own = make([]string, 2)
	for range own {
		m := p.until(t, `process=(\d) url=(http://\S+)/metrics`)
		own[atoi(t, m[1])-1] = m[2]
	}
	return p, p.until(t, `msg=serving .*url=(http://\S+)`)[1], own
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// children are the processes that a process has started.
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, _ := os.ReadFile(path) // gone meanwhile: nobody's child
		_, after, _ := strings.Cut(string(text), ") ")
		var state string
		var of int
		if _, err := fmt.Sscan(after, &state, &of); err == nil && of == parent && state != "Z" {
			pids = append(pids, atoi(t, filepath.Base(filepath.Dir(path))))
		}
	}
	return pids
}

func metric(t *testing.T, url, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\d+)$`).FindStringSubmatch(metricsOf(t, url))
	if m == nil {
		t.Fatalf("%s has no metric %s", url, name)
	}
	return atoi(t, m[1])
}

// buyWithout fails the test unless each of a crowd's requests is answered, by no failure
// of the server's. They come over connections that are kept alive.
func buyWithout(t *testing.T, url, event string) (stop func() (bought int)) {
	t.Helper()
	w := newWitnesses(t, url, event)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range witnessesAtOnce {
		all.Go(func() {
			for ctx.Err() == nil {
				if !w.buy(context.Background()) {
					t.Error("a request was lost")
				}
			}
		})
	}
	stop = func() int {
		cancel()
		all.Wait()
		return w.count()
	}
	t.Cleanup(func() { stop() })
	eventually(t, "some have bought", func() bool { return w.count() >= witnessesAtOnce })
	return stop
}

func TestReplacingEveryProcessLosesNoRequestAndNoSequenceKafka(t *testing.T) {
	t.Parallel()
	with, event := installation(t)
	p, url, own := front(t, with)
	before := children(t, p.Process.Pid)
	a := openAudience(t, url, event, 20)
	stop := buyWithout(t, url, event)

	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.until(t, `msg="every process was replaced"`)
	after := children(t, p.Process.Pid)
	if len(after) != 2 || slices.ContainsFunc(after, func(pid int) bool { return slices.Contains(before, pid) }) {
		t.Errorf("processes %v were replaced by %v", before, after)
	}
	bought := stop()
	a.agrees(t, own)
	told, cut := a.endings()
	if told < 20 || cut > 0 {
		t.Errorf("of 20 viewers %d were told to come back, %d were cut off", told, cut)
	}
	t.Logf("%d purchases, %d farewells, %d views compared", bought, told, len(a.known))
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the processes end with their supervisor", func() bool {
		return !slices.ContainsFunc(after, func(pid int) bool { return syscall.Kill(pid, 0) == nil })
	})
}

func TestAKilledProcessTakesItsOwnFeedsAloneAndComesBackKafka(t *testing.T) {
	t.Parallel()
	with, event := installation(t)
	p, url, own := front(t, with)
	a := openAudience(t, url, event, 20)
	w := newWitnesses(t, url, event)
	wait := w.buyUntilEnd(t.Context()) // those whose connection dies give up
	before := children(t, p.Process.Pid)
	first, second := metric(t, own[0], "onsale_feed_connections"), metric(t, own[1], "onsale_feed_connections")
	if first+second != 20 || first == 0 || second == 0 {
		t.Fatalf("%d and %d of 20 feeds", first, second)
	}
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.until(t, `msg="a process has ended; it is started again"`)
	eventually(t, "both serve again", func() bool {
		now := children(t, p.Process.Pid)
		return len(now) == 2 && !slices.Contains(now, before[0]) && slices.Contains(now, before[1])
	})
	stop := buyWithout(t, url, event)
	a.agrees(t, own)
	stop()
	if told, cut := a.endings(); told > 0 || cut != first && cut != second {
		t.Errorf("%d viewers were told to go and %d were cut off; the processes had %d and %d", told, cut, first, second)
	}
	p.interrupt(t)
	wait()
}

func TestAFleetThatIsToldToEndTellsEveryBrowserAndEndsInTime(t *testing.T) {
	t.Parallel()
	with, event := installation(t)
	p, url, _ := front(t, with)
	a := openAudience(t, url, event, 20)
	began := time.Now()
	p.interrupt(t)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if told, cut := a.endings(); told != 20 || cut > 0 { // who comes back to a process that is told a moment later is told again
		t.Errorf("of 20 viewers %d were told to come back, %d were cut off", told, cut)
	}
}

func TestLimitsOnFeedsAreThoseOfAllProcessesTogetherKafka(t *testing.T) {
	t.Parallel()
	with, event := installation(t)
	for _, limit := range [][]string{{"--max-feeds", "4"}, {"--max-feeds-per-ip", "4"}} {
		p := begin(t, with(append([]string{"feed", "--procs", "2", "--listen", "127.0.0.1:0"}, limit...)...)...)
		url := p.until(t, `msg=serving .*url=(http://\S+)`)[1]
		answers := map[int]int{}
		for range 40 {
			answers[watch(t, url, event)]++
		}
		if answers[http.StatusSwitchingProtocols] != 4 || answers[http.StatusServiceUnavailable] != 36 {
			t.Errorf("%v: 40 feeds of two processes are answered %v", limit, answers)
		}
		p.interrupt(t)
	}
}
