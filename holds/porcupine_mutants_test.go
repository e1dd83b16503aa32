package holds

import (
	"strings"
	"testing"
)

// stormMutants are mistakes in the scripts that show only when many are at it at once,
// as time passes, or when an answer is lost. There must be no order in which all
// that a storm was told is true.
var stormMutants = map[string][2]string{
	"seats are written a call too late": {"call('SETRANGE', SEATS, run[1], run[2])",
		"local at, late = match(call('HGET', META, 'late') or '', '^(%d+) (.*)$')\n" +
			"if at then call('SETRANGE', SEATS, at, late) end\ncall('HSET', META, 'late', run[1] .. ' ' .. run[2])"},
	"a taken seat may be picked":       {"if mine[offset] or not (letter == 'a' or letter == 'w' or letter == 'c') then", "if mine[offset] then"},
	"what was taken is not laid":       {"then lay(view, changes) end", "then end"},
	"the floor has one more":           {"c = {a = tonumber(a), h", "c = {a = tonumber(a) + 1, h"},
	"what is left is miscounted":       {"text(available) end\n  return true", "text(available + 1) end\n  return true"},
	"holds end before their deadline":  {"'-inf', now, 'LIMIT'", "'-inf', now + 3, 'LIMIT'"},
	"holds outlive their deadline":     {"'-inf', now, 'LIMIT'", "'-inf', now - 3, 'LIMIT'"},
	"the clock stands":                 {"local now = math.max(tonumber(head[4]), time[1] * 1000 + floor(time[2] / 1000))", "local now = tonumber(head[4])"},
	"expiry by the caller's own clock": {"time[1] * 1000 + floor(time[2] / 1000)", "time[1] * 1000 + floor(time[2] / 1000) + 4"},
	"a pinned hold expires": {"due[id] = false\n  pins[id] = now\n  put(id, hold)\n  return 'ok ' .. text_of(hold)\nend",
		"due[id], hold.state = now, 'h'\n  move_hold(hold, 'p', 'h')\n  put(id, hold)\n  return 'ok ' .. text_of(hold)\nend"},
	"a repeat is granted again":      {"if not hold then return nil end\n  -- Of a hold", "if not hold or hold.state == 'h' then return nil end\n  -- Of a hold"},
	"a repeated pin is refused":      {"if hold.state == 'p' then\n    hold.pinned = now", "if hold.state == 'p' then\n    if hold then return 'ended p' end"},
	"anyone may release":             {"if not hold or hold.buyer ~= buyer then return 'unknown' end\n  if is_stale(hold, ARGV[at]) then return 'stale' end\n  if hold.state == 'r'", "if not hold then return 'unknown' end\n  if hold.state == 'r'"},
	"what is released isn't offered": {"give_back(id, hold, 'r')\n  return 'ok'\nend", "return 'ok'\nend"},
}

// mutantStorms is how many storms a mutant may survive.
const mutantStorms = 40

func TestEveryMutantIsCaughtInAStorm(t *testing.T) {
	for name, change := range stormMutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutant := mutate(t, change[:]...)
			for seed := range uint64(mutantStorms) {
				s := newStorm(t)
				for i, desk := range s.desks {
					// A clock of one's own shows only to those whose clock is another.
					if i > 0 || name != "expiry by the caller's own clock" {
						desk.batcher(s.h.layout.Event.ID, testEpoch).script = fenced(mutant)
					}
				}
				if wrong := s.run(seed); wrong != "" {
					t.Logf("caught in storm %d: %.200s", seed+1, wrong)
					return
				}
			}
			t.Errorf("survived %d storms", mutantStorms)
		})
	}
}

// mutate is the scripts with changes: old, new, old, new, …, each of which must fit in one place.
func mutate(t *testing.T, changes ...string) *script {
	t.Helper()
	source := applyScript.base.source
	for ; len(changes) > 0; changes = changes[2:] {
		if n := strings.Count(source, changes[0]); n != 1 {
			t.Fatalf("%q stands %d times in the scripts", changes[0], n)
		}
		source = strings.Replace(source, changes[0], changes[1], 1)
	}
	return programme(source)
}
