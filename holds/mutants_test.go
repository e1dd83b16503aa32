package holds

import (
	"testing"

	"pgregory.net/rapid"
)

// mutants are mistakes that someone could make in the scripts. Each must be caught by
// the model within mutantSteps steps, or the model is blind to what it is for.
var mutants = map[string][2]string{
	"anyone may release":                       {"if not hold or hold.buyer ~= buyer then return 'unknown' end\n  if is_stale(hold, ARGV[at]) then return 'stale' end\n  if hold.state == 'r'", "if not hold then return 'unknown' end\n  if is_stale(hold, ARGV[at]) then return 'stale' end\n  if hold.state == 'r'"},
	"anyone may pin":                           {"if not hold or hold.buyer ~= buyer then return 'unknown' end\n  if is_stale(hold, ARGV[at]) then return 'stale' end\n  if hold.accepted", "if not hold then return 'unknown' end\n  if is_stale(hold, ARGV[at]) then return 'stale' end\n  if hold.accepted"},
	"another body under a key":                 {"(hold.print ~= '' and hold.print ~= print)", "false"},
	"the orphan rule is forgotten":             {"elseif trail.tidy and", "elseif false and"},
	"orphans at the end of a row":              {"return one == A and other ~= A", "return one == A and other == byte('h')"},
	"the cap is off by one":                    {"b.n + total > cap", "b.n + total > cap + 1"},
	"the cap forgets what came back":           {"credit(hold.buyer, -each_line", "credit(hold.buyer, 0 * each_line"},
	"an extended hold expires as granted":      {"hold.state == 'h' and hold.deadline <= now then give_back(ids[i]", "hold.state == 'h' then give_back(ids[i]"},
	"one of many doesn't expire":               {"for i = 1, n do\n    local hold = hold_of(ids[i])", "for i = 2, n do\n    local hold = hold_of(ids[i])"},
	"expiry is a millisecond late":             {"'-inf', now, 'LIMIT'", "'-inf', now - 1, 'LIMIT'"},
	"the clock may run backwards":              {"math.max(tonumber(head[4]),", "math.max(0,"},
	"a generation fences nothing":              {"generation ~= '0' and generation ~= hold.generation", "false"},
	"one hold too many in a minute":            {"b.made >= rate", "b.made > rate"},
	"the minute never ends":                    {"if b.began + MINUTE_MS <= now then b.began", "if b.began == 0 then b.began"},
	"a hold is extended for ever":              {"or hold.generation ~= '1'", ""},
	"an extension doesn't move the deadline":   {"hold.deadline = hold.deadline + extend_ms", "hold.deadline = hold.deadline"},
	"an extended hold expires as before":       {"due[id] = hold.deadline\n  put(id, hold)\n  return 'ok ' .. text_of(hold)", "put(id, hold)\n  return 'ok ' .. text_of(hold)"},
	"accessible seats for everyone":            {"elseif letter ~= 'a' and not ask.accessible then", "elseif false then"},
	"an accessible seat comes back plain":      {"to == 'a' and moved[i].letter or to", "to"},
	"a pinned hold expires":                    {"if hold and hold.state == 'h' then", "if hold and (hold.state == 'h' or hold.state == 'p') then"},
	"a sold hold is freed":                     {"if hold.state == 's' or hold.state == 'o' then return 'sold' end", ""},
	"a refunded hold is sold again":            {"if hold.state == 'b' then return 'ok' end\n  if hold.lines", "if hold.lines"},
	"what is refunded stays sold":              {"if stays < n then gone", "if false then gone"},
	"a refunded hold keeps its seats":          {"if is_live(hold) then give_back(id, hold, 'b') end", ""},
	"a refund in part is not credited":         {"credit(hold.buyer, -gone[i].n)", ""},
	"a refund in part comes back twice":        {"hold.lines = concat(kept, ',')", ""},
	"counts move one at a time":                {"c[from] = c[from] - n", "c[from] = c[from] - 1"},
	"seats are told but not written":           {"call('SETRANGE', SEATS, run[1], run[2])", ""},
	"split without asking":                     {"if not ask.split then return nil end", ""},
	"all of a split hold or some of it":        {"if most == 0 then return false end", "if most == 0 then return true end"},
	"what came back is not looked at":          {"if from == 'a' or to == 'a' then", "if from == 'a' then"},
	"what is left of a run is not looked at":   {"open_rest(ground, view, place + n)", ""},
	"an ended hold is forgotten at once":       {"due[id] = now + (", "due[id] = now + 0 * ("},
	"lines of one section overwrite another":   {"line.n = line.n + got.n", ""},
	"a second ask sees what the first took":    {"mine[p + i - 1] = true\n", ""},
	"a wheelchair place without its companion": {"rep('w', w) .. rep('c', c), rep", "rep('w', w) .. rep('a', c), rep"},
	"a repeat is granted again":                {"if not hold then return nil end\n  -- Of a hold", "if not hold or hold.state == 'h' then return nil end\n  -- Of a hold"},
	"a seat moves and its sum doesn't":         {"counts_changed[section] = true", ""},
	"a sum moves and its seat doesn't":         {"seats[offset] = letter\n    seats_changed", "seats_changed"},
	"a basket forgets what it has taken":       {"count(range.section).a - (used[range.section] or 0)", "count(range.section).a"},
	"each hold begins a new minute":            {"if b.began + MINUTE_MS <= now then b.began", "if true then b.began"},
	"anyone may extend":                        {"if not hold or hold.buyer ~= buyer then return 'unknown' end\n  local asked", "if not hold then return 'unknown' end\n  local asked"},
	"an extension isn't repeatable":            {"and (asked == '1' or asked == '0') then", "and false then"},
	"a buyer who has nothing keeps a minute":   {"if b.n == 0 and b.began + MINUTE_MS <= now then return nil end", "if b.n == 0 then return nil end"},
	"splitting begins with singles":            {"local size, from, longest, near = n, 0", "local size, from, longest, near = 1, 0"},
	"the first section with enough, or none":   {"if found then return {section = range.section, n = ask.n, seats = found} end\n      word = 'not_together'", "if found then return {section = range.section, n = ask.n, seats = found} end\n      return nil, 'not_together ' .. range.section .. ' ' .. available"},
}

// mutantSteps is how many steps a mutant may survive: the slowest needs a tenth.
const mutantSteps = 6000

func TestEveryMutantIsCaughtByTheModel(t *testing.T) {
	for name, change := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := change[:]
			if name == "a pinned hold expires" { // it takes two mistakes
				changes = append(changes, "due[id] = false\n  pins[id] = now", "pins[id] = now")
			}
			steps, differs := survive(t, mutate(t, changes...))
			if differs == "" {
				t.Errorf("survived %d steps", steps)
			}
			t.Logf("caught after %d steps: %s", steps, differs)
		})
	}
}

// survive runs schedules, always the same ones, until an answer differs.
func survive(t *testing.T, mutant *script) (steps int, differs string) {
	step := rapid.Custom(drawStep)
	for schedule := 0; steps < mutantSteps; schedule++ {
		h := newHouse(t, trialEvent)
		h.desk.batcher(h.layout.Event.ID, testEpoch).script = fenced(mutant)
		trial := newTrial(h)
		for range 60 {
			steps++
			if differs = trial.run(step.Example(steps)); differs != "" {
				return steps, differs
			}
		}
	}
	return steps, ""
}

func TestTheScriptsThemselvesSurvive(t *testing.T) {
	t.Parallel()
	if steps, differs := survive(t, applyScript.base); differs != "" {
		t.Errorf("caught after %d steps: %s", steps, differs)
	}
}
