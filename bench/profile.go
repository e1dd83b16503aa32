package bench

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The profiles that need no file. Each is open-loop: all of the arrivals are drawn from the
// seed before the first buyer comes. n buyers arrive over a time T, and t is counted from the
// opening of the doors.
const (
	// ProfilePoisson is the default: arrivals are independent of each other and uniform over T,
	// which is what a Poisson process of rate n/T looks like once it is known how many came.
	ProfilePoisson = "poisson"
	// ProfileSpike is everyone within a second of the doors, independent and uniform; within T
	// if that is shorter.
	ProfileSpike = "spike"
	// ProfileRamp has a rate that rises linearly from nothing at the doors to 2n/T at T: so
	// (t/T)² of the crowd has come by t.
	ProfileRamp = "ramp"
	// ProfileWave is crowdWaves waves of the same size, one after the other, each T/crowdWaves long: its rate
	// rises linearly from nothing until the middle of the wave and falls back to nothing.
	ProfileWave = "wave"
)

const (
	crowdWaves = 4
	spikeTime  = time.Second
	csvSuffix  = ".csv"
)

// Profile says how the arrivals of a crowd are spread over time. The zero value is
// ProfilePoisson. All of it is data, so that it can be handed to another process.
type Profile struct {
	Name   string  // one of those above, or the name of the file it was read from
	Counts []int64 // of a file: how many arrive in each second from the doors on; nil otherwise
}

// ParseProfile returns a profile by its name, or reads it from a file whose name ends in
// ".csv": a line "second,arrivals" for each second that has any, seconds counted from 0 and rising. Within
// a second arrivals are independent and uniform. Its error is a *ConfigError.
func ParseProfile(text string) (Profile, error) {
	p := Profile{Name: text}
	if !strings.HasSuffix(strings.ToLower(text), csvSuffix) {
		return p, p.validate()
	}
	file, err := os.Open(text)
	if err != nil {
		return p, wrong("profile: %v", err)
	}
	defer file.Close() // it was only read
	p.Name = filepath.Base(text)
	if p.Counts, err = readCounts(file); err != nil {
		return p, wrong("profile: %s: %v", text, err)
	}
	return p, p.validate()
}

// csvHead is a first line that says what the columns are; it may be left away.
var csvHead = []string{"second", "arrivals"}

func readCounts(from io.Reader) (counts []int64, err error) {
	rows := csv.NewReader(from)
	rows.FieldsPerRecord, rows.TrimLeadingSpace, rows.Comment = len(csvHead), true, '#'
	for first := true; ; first = false {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return counts, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a line: %w", err)
		}
		if first && slices.Equal(row, csvHead) {
			continue
		}
		line, _ := rows.FieldPos(0)
		second, err := strconv.Atoi(strings.TrimSpace(row[0]))
		if err != nil || second < len(counts) || second >= int(maxOver/time.Second) {
			return nil, fmt.Errorf("line %d: second %q must be a whole number from %d to %d", line, row[0], len(counts), int(maxOver/time.Second)-1)
		}
		arrivals, err := strconv.ParseInt(strings.TrimSpace(row[1]), 10, 64)
		if err != nil || arrivals < 0 || arrivals > maxUsers {
			return nil, fmt.Errorf("line %d: arrivals %q must be a whole number from 0 to %d", line, row[1], maxUsers)
		}
		counts = append(counts, make([]int64, second+1-len(counts))...)
		counts[second] = arrivals
	}
}

func (p Profile) validate() error {
	switch {
	case p.Counts != nil && p.users() == 0:
		return wrong("profile: nobody arrives in %s", p.Name)
	case p.Counts != nil:
		return nil
	case !slices.Contains([]string{"", ProfilePoisson, ProfileSpike, ProfileRamp, ProfileWave}, p.Name):
		return wrong("profile: %q must be %s, %s, %s, %s, or a file FILE%s", p.Name, ProfileSpike, ProfileRamp, ProfileWave, ProfilePoisson, csvSuffix)
	}
	return nil
}

// users is how many a file has; 0 if there is none.
func (p Profile) users() int {
	sum := int64(0)
	for _, n := range p.Counts {
		sum += n
	}
	return int(min(sum, math.MaxInt32))
}

// lasts is over how long arrivals are spread, if they may be over the given time.
func (p Profile) lasts(over time.Duration) time.Duration {
	switch {
	case p.Counts != nil:
		return time.Duration(len(p.Counts)) * time.Second
	case p.Name == ProfileSpike:
		return min(over, spikeTime)
	}
	return over
}

// arrivals returns when each of n buyers arrives, counted from the opening, earliest first:
// each at less than over, which is what lasts returned. The same seed gives the same arrivals. A
// file of other than n buyers is scaled: a second gets its share of them, to within one.
func (p Profile) arrivals(n int, over time.Duration, seed uint64) []time.Duration {
	at := make([]time.Duration, n)
	if over <= 0 {
		return at
	}
	rng := rand.New(rand.NewPCG(seed, arrivalStream))
	place := p.placer(n)
	for i := range at {
		at[i] = min(time.Duration(place(rng, i)*float64(over)), over-1) // where rounding would make it the end itself
	}
	slices.Sort(at)
	return at
}

// placer returns what draws the i-th buyer's place in the time, from 0 to 1.
func (p Profile) placer(n int) func(rng *rand.Rand, i int) float64 {
	switch {
	case p.Counts != nil:
		second, before, total := 0, int64(0), float64(p.users())
		return func(rng *rand.Rand, i int) float64 {
			for float64(before+p.Counts[second]) <= (float64(i)+0.5)/float64(n)*total {
				before += p.Counts[second]
				second++
			}
			return (float64(second) + rng.Float64()) / float64(len(p.Counts))
		}
	case p.Name == ProfileRamp:
		return func(rng *rand.Rand, _ int) float64 { return math.Sqrt(rng.Float64()) }
	case p.Name == ProfileWave:
		return func(rng *rand.Rand, i int) float64 {
			return (float64(i%crowdWaves) + (rng.Float64()+rng.Float64())/2) / crowdWaves
		}
	}
	return func(rng *rand.Rand, _ int) float64 { return rng.Float64() }
}
