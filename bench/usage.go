package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Usage is what the processes of one kind use.
type Usage struct {
	Cores   float64 // of CPU time a second; 1.5 is one core and a half
	Waiting float64 // threads that had something to do and no processor to do it on, on average
	Memory  int64   // bytes resident: what is each one's own, and the most that one of them shares
}

// usage looks at what processes use, by what they are: "front", "feed", "settle", "onsale" (all of
// these in one), "redis", "postgres", "kafka", "payment", "bench". If some of those that serve are
// children of the bench, it started them and looks at its family alone; else, with a server
// on this machine, at all of this machine's. It sees nothing where there is no /proc.
type usage struct {
	anyones bool // what serves is on this machine

	before map[int]processTime // by process; nil before the first look; look's alone
	at     time.Time           // of the last look; look's alone

	mu   sync.Mutex
	last map[string]Usage // under mu: what the last look has found
}

// processTime is CPU time, and time that was spent waiting for it, by all threads of a process.
type processTime struct{ used, waited time.Duration }

func newUsage(anyones bool) *usage { return &usage{anyones: anyones} }

// latest is what the last look has found, by kind.
func (u *usage) latest() map[string]Usage {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// look returns what was used since the look before, by kind; the first finds nothing.
func (u *usage) look(at time.Time) map[string]Usage {
	stats := readStats()
	family := familyOf(os.Getpid(), stats)
	alone := !u.anyones
	kinds := make(map[int]string, len(stats))
	for _, s := range stats {
		kind := kindOf(s) // each time: a process that has just been started may not be yet what it will be
		kinds[s.pid] = kind
		alone = alone || family[s.pid] && kind != "" && kind != "bench"
	}
	used, shared, before := map[string]Usage{}, map[string]int64{}, map[int]processTime{}
	for _, s := range stats {
		kind := kinds[s.pid]
		if kind == "" || alone && !family[s.pid] {
			continue
		}
		now, last := processTime{s.used, waitedBy(s.pid)}, u.before[s.pid]
		before[s.pid] = now
		own, files := residentOf(s.pid)
		sum := used[kind]
		sum.Memory += own
		shared[kind] = max(shared[kind], files)
		if passed := at.Sub(u.at).Seconds(); passed > 0 { // one that is new has used all of it since
			sum.Cores += max(0, now.used-last.used).Seconds() / passed
			sum.Waiting += max(0, now.waited-last.waited).Seconds() / passed // less if one of its threads has ended
		}
		used[kind] = sum
	}
	for kind, files := range shared {
		sum := used[kind]
		sum.Memory += files
		used[kind] = sum
	}
	first := u.before == nil
	u.before, u.at = before, at
	if first {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last = used
	return used
}

// familyOf is a process and all that it has started, and those they have.
func familyOf(pid int, stats []procStat) map[int]bool {
	children := map[int][]int{}
	for _, s := range stats {
		children[s.parent] = append(children[s.parent], s.pid)
	}
	family := map[int]bool{}
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		if !family[next[0]] {
			family[next[0]] = true
			next = append(next, children[next[0]]...)
		}
	}
	return family
}

// kindOf is what a process is; "" if it has nothing to do with selling tickets.
func kindOf(s procStat) string {
	switch {
	case strings.HasPrefix(s.name, "redis-server"):
		return "redis"
	case strings.HasPrefix(s.name, "postgres"):
		return "postgres"
	case s.name != "java" && s.name != ownName:
		return ""
	}
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.pid), "cmdline"))
	if err != nil {
		return "" // it has ended
	}
	if s.name != "java" {
		return kindOfOurs(strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")[1:])
	}
	if strings.Contains(string(text), "kafka.Kafka") {
		return "kafka"
	}
	return ""
}

// ownName is what /proc calls the processes of this very binary: the kernel keeps 15 bytes.
var ownName = func() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	name := filepath.Base(self)
	return name[:min(len(name), 15)]
}()

// kindOfOurs is what a process of this very binary is, by its arguments.
func kindOfOurs(args []string) string {
	first, second := "", ""
	if len(args) > 0 {
		first = args[0]
	}
	if len(args) > 1 {
		second = args[1]
	}
	switch {
	case first == "serve":
		return "front"
	case first == "feed", first == "settle":
		return first
	case first == "paysim":
		return "payment"
	case first == "demo":
		return "onsale"
	case first == "bench" && second == "broker":
		return "kafka"
	case first == "bench" && second == "peer":
		return "peer"
	}
	return "bench"
}
