package holds

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"onsale"
)

// Straight asks an event's script for holds without the desk's gathering and words: it
// is for measuring what the rules cost Redis.
type Straight struct {
	desk  *Desk
	event onsale.EventID
	batch *batcher
}

// Straight returns the straight way to an event, in the epoch that the layout says.
func (d *Desk) Straight(l *onsale.Layout) *Straight {
	return &Straight{desk: d, event: l.Event.ID, batch: d.batcher(l.Event.ID, l.Event.Epoch)}
}

// Together asks for all of the holds in one call, or in as few as Redis has time for, and returns how many were granted.
func (s *Straight) Together(_ context.Context, requests []Request) (granted int, err error) {
	ops := make([]*operation, len(requests))
	for i, r := range requests {
		ops[i] = s.operation(r)
	}
	for len(ops) > 0 {
		replies, err := s.batch.call(ops)
		if err != nil {
			return granted, err
		}
		for _, reply := range replies {
			if strings.HasPrefix(reply, "ok ") {
				granted++
			}
		}
		ops = ops[len(replies):]
	}
	return granted, nil
}

// Singly asks for each of the holds in a call of its own, all in one pipeline, so that
// Redis waits for nothing, and returns how many were granted.
func (s *Straight) Singly(ctx context.Context, requests []Request) (granted int, err error) {
	if err := s.batch.sweep(); err != nil { // from now on Redis knows the script, and we by which name
		return 0, err
	}
	c := s.batch.client
	calls := make(rueidis.Commands, len(requests))
	for i, r := range requests {
		args := s.batch.arguments(s.batch.epoch.Load(), []*operation{s.operation(r)})
		k := s.batch.keys.all
		calls[i] = c.B().Evalsha().Sha1(s.batch.known.Load().sha).Numkeys(int64(len(k))).Key(k...).Arg(args...).Build()
	}
	for _, result := range c.DoMulti(ctx, calls...) {
		reply, err := result.ToArray()
		if err != nil {
			return granted, fmt.Errorf("a call for one hold: %w", err)
		}
		if err := checkStatus(reply); err != nil {
			return granted, err
		}
		text, err := reply[len(reply)-1].ToString()
		if err != nil {
			return granted, fmt.Errorf("a call for one hold: %w", err)
		}
		if strings.HasPrefix(text, "ok ") {
			granted++
		}
	}
	return granted, nil
}

func (s *Straight) operation(r Request) *operation {
	id := s.desk.ids.Derive(s.event, onsale.Epoch(s.batch.epoch.Load()), r.Buyer, r.Key)
	name, args := holdArgs(r)
	return newOperation(name, id, r.Buyer, args...)
}

// MainThreadSeconds is how much CPU time the Redis server's main thread has used.
func (s *Straight) MainThreadSeconds(ctx context.Context) (float64, error) {
	c := s.batch.client
	info, err := c.Do(ctx, c.B().Info().Section("cpu").Build()).ToString()
	if err != nil {
		return 0, fmt.Errorf("read redis's CPU time: %w", err)
	}
	total := 0.0
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "used_cpu_sys_main_thread" && name != "used_cpu_user_main_thread" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("read redis's CPU time: %w", err)
		}
		total += seconds
	}
	return total, nil
}
