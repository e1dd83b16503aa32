package holds

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"onsale"
)

// Pinned is a hold whose order is being decided, or was left behind.
type Pinned struct {
	Hold  onsale.HoldID
	Buyer onsale.BuyerID
	At    time.Time // when it was last pinned, by Redis's clock; zero if it is owed
}

// Pins returns holds that were pinned longer ago than the given age, by Redis's
// clock: at the most `most` of them, after skipping some; stripe by stripe if there are
// several, and the oldest first.
func (d *Desk) Pins(ctx context.Context, event onsale.EventID, age time.Duration, skip, most int64) ([]Pinned, error) {
	var pins []Pinned
	for stripe, stripes := 0, 1; stripe < stripes && int64(len(pins)) < most; stripe++ {
		id := bookID{event, stripe}
		now, err := d.conditionOf(ctx, id) // for the clock of the server that has it
		if err != nil {
			return nil, err
		}
		stripes = max(stripes, now.Stripes)
		found, skipped, err := d.pinsOf(ctx, id, now.At.Add(-age), skip, most-int64(len(pins)))
		if err != nil {
			return nil, fmt.Errorf("read the pins of %s: %w", event, err)
		}
		skip -= skipped
		pins = append(pins, found...)
	}
	return pins, nil
}

// pinsOf returns those of one book that were pinned before a time, and how many it skipped.
func (d *Desk) pinsOf(ctx context.Context, id bookID, before time.Time, skip, most int64) (pins []Pinned, skipped int64, err error) {
	c, k := d.cfg.Client, id.keys(d.cfg.Namespace)
	until := strconv.FormatInt(before.UnixMilli(), 10)
	if skip > 0 {
		n, err := c.Do(ctx, c.B().Zcount().Key(k.all[5]).Min("-inf").Max(until).Build()).AsInt64()
		if err != nil {
			return nil, 0, err
		}
		skip = min(skip, n)
	}
	scores, err := c.Do(ctx, c.B().Zrangebyscore().Key(k.all[5]).Min("-inf").Max(until).
		Withscores().Limit(skip, most).Build()).AsZScores()
	if err != nil || len(scores) == 0 {
		return nil, skip, err
	}
	ids := make([]string, len(scores))
	for i, s := range scores {
		ids[i] = s.Member
	}
	records, err := c.Do(ctx, c.B().Hmget().Key(k.all[1]).Field(ids...).Build()).ToArray()
	if err != nil {
		return nil, skip, err
	}
	for i, s := range scores {
		text, err := records[i].ToString()
		if err != nil {
			continue // its record is gone, and so is its pin by now
		}
		rec, err := parseRecord(text)
		if err != nil {
			return nil, skip, err
		}
		pins = append(pins, Pinned{Hold: onsale.HoldID(s.Member), Buyer: rec.buyer, At: fromMs(int64(s.Score))})
	}
	return pins, skip, nil
}
