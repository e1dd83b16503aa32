package holds

import "testing"

// watchMutants are mistakes that the model can't see, since it knows nothing of deltas,
// indexes and epochs, nor of what recovery does. Each names the witness that must see it.
var watchMutants = map[string]struct {
	sees   func(*testing.T, *script) string
	change []string // old, new, old, new, …
}{
	"a seq is skipped":        {theFeedTellsAll, []string{"seq = seq + 1", "seq = seq + 2"}},
	"a seq is told twice":     {theFeedTellsAll, []string{"meta[#meta + 1] = 'seq'\n    meta[#meta + 1] = seq", ""}},
	"counts are told swapped": {theFeedTellsAll, []string{"told[section] = {c.a, c.h,", "told[section] = {c.h, c.a,"}},
	"seats are not told":      {theFeedTellsAll, []string{"x = #runs > 0 and runs or nil", "x = nil"}},
	"one run of seats is told": {theFeedTellsAll,
		[]string{"x = #runs > 0 and runs or nil", "x = #runs > 0 and {runs[1]} or nil"}},
	"what is due next is not told": {theFeedTellsAll, []string{"n = next_due(), c = told", "n = 0, c = told"}},
	"what is due next is told as it was": {theFeedTellsAll, []string{"local function close()\n", "local function close()\n  local was = next_due()\n",
		"n = next_due(), c = told", "n = was, c = told"}},
	"the sale is told wrongly": {theFeedTellsAll, []string{"s = sale, n = next_due()", "s = 'paused', n = next_due()"}},
	"a pause holds nobody up": {theFeedTellsAll,
		[]string{"if sale ~= 'open' then return 'not_on_sale ' .. sale end\n", ""}},
	"told before it is written":           {whatFailsIsNotTold, []string{"  write_index(PINS, pins)\n", "", "runs or nil, g = told_ids})\n  end\n", "runs or nil, g = told_ids})\n  end\n  write_index(PINS, pins)\n"}},
	"the clock is not written":            {theClockIsKept, []string{"{'clock', text(now)}", "{'clock', head[4]}"}},
	"an old epoch may write":              {anOldEpochIsFenced, []string{"if head[1] ~= ARGV[1] then return {'epoch', head[1]} end", ""}},
	"a newer epoch may write":             {anOldEpochIsFenced, []string{"if head[1] ~= ARGV[1] then", "if tonumber(head[1]) > tonumber(ARGV[1]) then"}},
	"pins are not indexed":                {theIndexesSayWhatTheHoldsAre, []string{"due[id] = false\n  pins[id] = now", "due[id] = false"}},
	"a pin is due still":                  {theIndexesSayWhatTheHoldsAre, []string{"due[id] = false\n  pins[id] = now", "pins[id] = now"}},
	"a sold hold stays a pin":             {theIndexesSayWhatTheHoldsAre, []string{"hold.state = 's'\n  pins[id], due[id] = false, false", "hold.state = 's'\n  due[id] = false"}},
	"a sold hold is forgotten":            {theIndexesSayWhatTheHoldsAre, []string{"hold.state = 's'\n  pins[id], due[id] = false, false", "hold.state = 's'\n  pins[id], due[id] = false, now"}},
	"a freed hold stays a pin":            {theIndexesSayWhatTheHoldsAre, []string{"if hold.state == 'p' then pins[id] = false end", ""}},
	"a freed hold is kept":                {theIndexesSayWhatTheHoldsAre, []string{"due[id] = now + (hold.print", "due[id] = due[id] or false and (hold.print"}},
	"an old pin looks new":                {theIndexesSayWhatTheHoldsAre, []string{"pins[id] = now\n    put(id, hold)", "put(id, hold)"}},
	"pinned again, freed anyway":          {recoveryFreesOnlyWhatItSaw, []string{"if ARGV[at] ~= '0' and ARGV[at] ~= text(hold.pinned) then return 'pinned' end", ""}},
	"the last acceptance counts":          {recoveryFreesOnlyWhatItSaw, []string{"if hold.accepted == '0' then\n    hold", "if true then\n    hold"}},
	"accepted, and ended":                 {recoveryFreesOnlyWhatItSaw, []string{"if hold.accepted ~= '0' or hold.state == 's'", "if hold.state == 's'"}},
	"the owed is taken":                   {whatIsOwedWaits, []string{"elseif is_there(hold) then", "elseif true then"}},
	"the owed is forgotten":               {whatIsOwedWaits, []string{"pins[id], due[id] = 0, false\n    put(id, hold)", "put(id, hold)"}},
	"the freed is not sold":               {whatIsOwedWaits, []string{"elseif is_there(hold) then", "elseif false then"}},
	"the late are not counted":            {whatIsOwedWaits, []string{"credit(hold.buyer, move_hold(hold, 'a', 's'))", "move_hold(hold, 'a', 's')"}},
	"old news sell what was refunded":     {whatIsRefundedStaysSo, []string{"math.min(n, has.n)", "has.n"}},
	"old news sell what was all refunded": {whatIsRefundedStaysSo, []string{"if hold.state == 'b' then return 'ok' end\n  if hold.lines", "if hold.lines"}},
	"what was never sold is not refunded": {whatIsRefundedStaysSo, []string{"hold_of(id) or unknown_hold(buyer, ARGV[at])\n  if hold.state == 'b' then return 'ok' end\n  if is_live", "hold_of(id)\n  if not hold or hold.state == 'b' then return 'ok' end\n  if is_live"}},
	"a refunded hold is forgotten":        {whatIsRefundedStaysSo, []string{"hold.state = 'b'\n  pins[id], due[id] = false, false", "hold.state = 'b'\n  pins[id] = false"}},
	"a key buys in every epoch":           {aKeyOutlivesItsEpoch, []string{"if hold and hold.was then", "if false then"}},
	"companions only at the right":        {aCompanionSitsOnEitherSide, []string{"rep('c', c), rep('c', c) .. rep('w', w)}", "rep('c', c)}"}},
	"more is due than is looked at": {allThatIsDueComesBack, []string{
		"while why and more_due do", "while false do"}},
	"the same is reaped again": {allThatIsDueComesBack, []string{"'LIMIT', reaped, REAP_ENTRIES", "'LIMIT', 0, REAP_ENTRIES"}},
}

func TestEveryMutantIsSeenByItsWitness(t *testing.T) {
	for name, m := range watchMutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			differs := m.sees(t, mutate(t, m.change...))
			if differs == "" {
				t.Error("survived")
			}
			t.Logf("seen: %s", differs)
		})
	}
}

func TestNoWitnessAccusesTheScriptsThemselves(t *testing.T) {
	for name, sees := range map[string]func(*testing.T, *script) string{
		"feed": theFeedTellsAll, "failure": whatFailsIsNotTold, "clock": theClockIsKept, "epoch": anOldEpochIsFenced, "indexes": theIndexesSayWhatTheHoldsAre,
		"recovery": recoveryFreesOnlyWhatItSaw, "owed": whatIsOwedWaits, "keys": aKeyOutlivesItsEpoch, "refunds": whatIsRefundedStaysSo, "reaping": allThatIsDueComesBack,
		"companions": aCompanionSitsOnEitherSide,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if differs := sees(t, applyScript.base); differs != "" {
				t.Error(differs)
			}
		})
	}
}
