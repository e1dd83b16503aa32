package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// strain is what the processors of this machine did while people arrived: how much of them each kind of process
// used, and how many of its threads had something to do and had to wait. That says what the
// limit is, on a machine that is too small, and who met it.
type strain struct {
	looks int
	sums  map[string]Usage // of all looks
}

// add takes in what was used since the look before.
func (s *strain) add(by map[string]Usage) {
	if s.sums == nil {
		s.sums = map[string]Usage{}
	}
	s.looks++
	for kind, u := range by {
		sum := s.sums[kind]
		s.sums[kind] = Usage{Cores: sum.Cores + u.Cores, Waiting: sum.Waiting + u.Waiting}
	}
}

// scarce is from what part of the processors on they are said to be the limit.
const scarce = 0.9

// figures adds what was found, and returns what it says of the limit; "" if nothing was found.
func (s *strain) figures(figures map[string]Figure, processors int) (limit string) {
	if s.looks == 0 {
		return ""
	}
	all, share := 0.0, func(of float64) float64 { return of / float64(s.looks) }
	kinds := slices.SortedFunc(maps.Keys(s.sums), func(a, b string) int { return cmp.Compare(s.sums[b].Cores, s.sums[a].Cores) })
	var parts []string
	for _, kind := range kinds {
		cores, waiting := share(s.sums[kind].Cores), share(s.sums[kind].Waiting)
		all += cores
		figures["used_"+kind] = Figure{round(cores), "processors"}
		figures["waiting_"+kind] = Figure{round(waiting), "threads"}
		parts = append(parts, fmt.Sprintf("%s %.2f (%.1f)", kind, cores, waiting))
	}
	busy := all / float64(processors)
	figures["processors_busy"] = Figure{round(busy), "of the processors"}
	word := "had room"
	if busy >= scarce {
		word = "were the limit"
	}
	return fmt.Sprintf("the processors %s: while people arrived, %.0f %% of %d were busy with this. Each kind of process used so many, and so many of its threads waited for one: %s",
		word, 100*busy, processors, strings.Join(parts, ", "))
}
