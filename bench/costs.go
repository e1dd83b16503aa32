package bench

import (
	"os"
	"strings"
	"time"

	"onsale/internal/contest"
)

// costs are the µs of CPU time that an answer takes, by the round: of the seller's own
// processes ("cpu"), of its stores' ("redis_cpu", "postgres_cpu"), of all these ("total_cpu") and of
// the client that asks ("client_cpu"). Empty where there is no /proc.
type costs contest.Figures

// snapshot is how much CPU time has been used until now, by the name of its cost.
type snapshot map[string]time.Duration

// takeSnapshot sums up a process with all its descendants, and ourselves. server may be nil.
func takeSnapshot(server *Server) snapshot {
	of := noProcess
	if server != nil {
		of = server.process.Pid
	}
	return snapshotOf(readStats(), of, os.Getpid())
}

// noProcess is the pid of none.
const noProcess = -1

// snapshotOf is takeSnapshot by pids. What has ended is counted with who has waited for it: a backend of Postgres ends
// with its connection, in the middle of a round as well.
func snapshotOf(stats []procStat, server, own int) snapshot {
	used := snapshot{}
	parents := map[int]int{}
	for _, s := range stats {
		parents[s.pid] = s.parent
	}
	for _, s := range stats {
		if s.pid == own {
			used["client_cpu"] += s.used
			continue
		}
		if !descends(s.pid, server, parents) {
			continue
		}
		all := s.used + s.reaped
		used["total_cpu"] += all
		switch {
		case strings.HasPrefix(s.name, "redis"):
			used["redis_cpu"] += all
		case strings.HasPrefix(s.name, "postgres"):
			used["postgres_cpu"] += all
		default:
			used["cpu"] += all
		}
	}
	return used
}

// descends reports whether a process is another or descends of it.
func descends(pid, of int, parents map[int]int) bool {
	for range len(parents) { // pids are used again: what was read while they changed may be a circle
		if pid == of {
			return true
		}
		pid = parents[pid]
	}
	return false
}

// note adds a round: what so many answers have cost since the snapshot.
func (c costs) note(prefix string, since, until snapshot, answers int64) {
	if answers == 0 {
		return
	}
	for what, used := range until {
		spent := max(0, used-since[what]) // one that ends while we look is not counted then
		c[prefix+what] = append(c[prefix+what], 1e6*spent.Seconds()/float64(answers))
	}
}

// ratio is the median, over the rounds, of a cost of this seller over the same cost of another.
func (c costs) ratio(name string, over costs) float64 {
	return contest.Figures{"this": c[name], "that": over[name]}.Ratio("this", "that")
}

// report adds the medians to a report's figures, with their rounds, under names that begin with a prefix.
func (c costs) report(to *Report, prefix string) {
	for name, rounds := range c {
		if used := contest.Figures(c).Median(name); used >= 1 { // what is less is what the rest of the machine did
			to.Figures[prefix+name] = Figure{Value: used, Unit: unitMicros}
			to.Sample(prefix+name, rounds)
		}
	}
}
