package holds

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

// Inspect reads everything Redis knows of an event, in one step, for the auditor.
// It returns ErrAbsent if there is no stock.
func (d *Desk) Inspect(ctx context.Context, l *onsale.Layout) (*onsale.HoldsView, error) {
	k := newKeys(d.cfg.Namespace, l.Event.ID)
	reply, err := inspectScript.run(ctx, d.cfg.Client, k, []string{strconv.Itoa(len(l.Sections()))}).ToArray()
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", l.Event.ID, err)
	}
	if len(reply) != 5 {
		return nil, fmt.Errorf("inspect %s: %d parts, want 5", l.Event.ID, len(reply))
	}
	head, err := reply[0].ToArray()
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", l.Event.ID, err)
	}
	stock, err := decodeStock(l, head)
	if err != nil {
		return nil, err
	}
	var pairs [4]map[string]string // holds, due, buyers, pins
	for i := range pairs {
		flat, err := reply[i+1].AsStrSlice()
		if err != nil {
			return nil, fmt.Errorf("inspect %s: %w", l.Event.ID, err)
		}
		pairs[i] = make(map[string]string, len(flat)/2)
		for j := 0; j+1 < len(flat); j += 2 {
			pairs[i][flat[j]] = flat[j+1]
		}
	}
	together := dueTogether(pairs[1])
	view := &onsale.HoldsView{Stock: *stock, Buyers: make(map[onsale.BuyerID]int64, len(pairs[2]))}
	for id, text := range pairs[0] {
		if strings.HasPrefix(text, "@") {
			continue // another name of a hold
		}
		rec, err := parseRecord(text)
		seen := onsale.HeldRecord{Due: scoreTime(dueOf(pairs[1], together, id, rec)), PinnedAt: scoreTime(pairs[3][id])}
		if err == nil {
			seen.Hold, err = rec.hold(onsale.HoldID(id), l)
			seen.Owed = rec.state == 'o'
		}
		if err != nil { // a finding of the audit, not its end
			seen.Hold, seen.Unreadable = onsale.Hold{ID: onsale.HoldID(id), Event: l.Event.ID}, err.Error()
		}
		view.Holds = append(view.Holds, seen)
	}
	for buyer, text := range pairs[2] {
		admissions, _, _ := strings.Cut(text, "|")
		n, err := strconv.ParseInt(admissions, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("inspect %s: buyer %s: %w", l.Event.ID, buyer, err)
		}
		view.Buyers[onsale.BuyerID(buyer)] = n
	}
	return view, nil
}

// dueTogether spells out the expiry index's entries that stand for all that one call
// granted: hold id → score.
func dueTogether(entries map[string]string) map[string]string {
	together := map[string]string{}
	for entry, score := range entries {
		if strings.Contains(entry, " ") {
			for id := range strings.SplitSeq(entry, " ") {
				together[id] = score
			}
		}
	}
	return together
}

// dueOf is when the expiry index has a hold, "" if it has not. An entry for many stands
// for those of them that are held still.
func dueOf(entries, together map[string]string, id string, rec record) string {
	if score, ok := entries[id]; ok || rec.state != 'h' {
		return score
	}
	return together[id]
}

// Pinned is a hold whose order is being decided, or was left behind.
type Pinned struct {
	Hold onsale.HoldID
	At   time.Time // when it was last pinned, by Redis's clock; zero if it is owed
}

// Pins returns holds that were pinned longer ago than the given age, by Redis's
// clock, oldest first: at the most `most` of them, after skipping some.
func (d *Desk) Pins(ctx context.Context, event onsale.EventID, age time.Duration, skip, most int64) ([]Pinned, error) {
	now, err := d.Condition(ctx, event) // for the clock of the server that has the event
	if err != nil {
		return nil, err
	}
	before := now.At.UnixMilli() - age.Milliseconds()
	k := newKeys(d.cfg.Namespace, event)
	c := d.cfg.Client
	scores, err := c.Do(ctx, c.B().Zrangebyscore().Key(k.all[5]).Min("-inf").Max(strconv.FormatInt(before, 10)).
		Withscores().Limit(skip, most).Build()).AsZScores()
	if err != nil {
		return nil, fmt.Errorf("read the pins of %s: %w", event, err)
	}
	pins := make([]Pinned, len(scores))
	for i, s := range scores {
		pins[i] = Pinned{Hold: onsale.HoldID(s.Member), At: fromMs(int64(s.Score))}
	}
	return pins, nil
}

// scoreTime is a sorted set's score, in milliseconds, as a time; zero for "".
func scoreTime(score string) time.Time {
	ms, err := strconv.ParseFloat(score, 64)
	if err != nil {
		return time.Time{}
	}
	return fromMs(int64(ms))
}
