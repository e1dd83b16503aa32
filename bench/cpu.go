package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is what /proc counts CPU time in: a hundredth of a second, on every Linux
// that Go runs on. Source: man 5 proc, _SC_CLK_TCK.
const clockTick = 10 * time.Millisecond

// CPUOf returns the CPU time that a process and its children have used, those included that have
// ended and that it has waited for; 0 where there is no /proc.
func CPUOf(pid int) (used time.Duration) {
	for _, stat := range readStats() {
		if stat.pid == pid || stat.parent == pid {
			used += stat.used
		}
		if stat.pid == pid {
			used += stat.reaped
		}
	}
	return used
}

// ownCPU returns the CPU time that this process has used, without its children; 0 where there is no /proc.
func ownCPU() time.Duration {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	stat, _ := parseStat(string(text))
	return stat.used
}

// CPU returns the CPU time that the server has used; 0 where there is no /proc.
func (s *Server) CPU() time.Duration { return CPUOf(s.process.Pid) }

// PID is the server's process id.
func (s *Server) PID() int { return s.process.Pid }

// Resident is the memory, in bytes, that a process and its children have resident: what is
// each one's own, and the most that one of them has of files, such as the program itself,
// which they share with each other. 0 where there is no /proc.
func Resident(pid int) (own, shared int64) {
	for _, stat := range readStats() {
		if stat.pid != pid && stat.parent != pid {
			continue
		}
		mine, files := residentOf(stat.pid)
		own += mine
		shared = max(shared, files)
	}
	return own, shared
}

// residentOf is the memory, in bytes, that one process has resident: what is its own, and
// what it has of files and shares. 0 if it has ended.
func residentOf(pid int) (own, shared int64) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return 0, 0
	}
	all, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel writes numbers
	files, _ := strconv.ParseInt(fields[2], 10, 64)
	return (all - files) * int64(os.Getpagesize()), files * int64(os.Getpagesize())
}

// OpenFiles is how many files a process and its children have open; 0 where there is no /proc.
func OpenFiles(pid int) (sum int) {
	for _, stat := range readStats() {
		if stat.pid != pid && stat.parent != pid {
			continue
		}
		if folder, err := os.Open(filepath.Join("/proc", strconv.Itoa(stat.pid), "fd")); err == nil { // else it has ended
			names, _ := folder.Readdirnames(-1) // those that were read before it ended
			_ = folder.Close()                  // it was only read
			sum += len(names)
		}
	}
	return sum
}

// procStat is a process as /proc/PID/stat has it.
type procStat struct {
	pid, parent int
	name        string
	used        time.Duration
	reaped      time.Duration // by children that have ended and were waited for
}

func readStats() []procStat {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // the pattern is a good one
	}
	var stats []procStat
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if s, ok := parseStat(string(text)); ok {
			stats = append(stats, s)
		}
	}
	return stats
}

// parseStat reads "pid (name) state ppid … utime stime cutime cstime …"; the name may contain anything.
func parseStat(text string) (procStat, bool) {
	head, rest, ok := strings.Cut(text, " (")
	end := strings.LastIndexByte(rest, ')')
	if !ok || end < 0 {
		return procStat{}, false
	}
	fields := strings.Fields(rest[end+1:])
	const parent, user, system, childrensUser, childrensSystem = 1, 11, 12, 13, 14 // counted from the state
	if len(fields) <= childrensSystem {
		return procStat{}, false
	}
	var n [6]int
	for i, field := range []string{head, fields[parent], fields[user], fields[system], fields[childrensUser], fields[childrensSystem]} {
		var err error
		if n[i], err = strconv.Atoi(field); err != nil {
			return procStat{}, false
		}
	}
	return procStat{pid: n[0], parent: n[1], name: rest[:end], used: time.Duration(n[2]+n[3]) * clockTick,
		reaped: time.Duration(n[4]+n[5]) * clockTick}, true
}

// waitedBy is how long the threads of a process have waited for a processor, though they had something to
// do. Source: Linux's Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat.
func waitedBy(pid int) (sum time.Duration) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0 // it has ended
	}
	for _, thread := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, thread.Name()))
		fields := strings.Fields(string(text)) // running, waiting, time slices
		if err != nil || len(fields) < 2 {
			continue
		}
		if waited, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			sum += time.Duration(waited)
		}
	}
	return sum
}
