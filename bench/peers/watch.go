package peers

import (
	"context"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

const (
	// watchConnections is how many try at once, as several processes would. Of those who read the same
	// stock one writes, and the work of all others was for nothing: with 16 there are half as many holds.
	// With one there are a third more, but that is a queue and locks nothing.
	watchConnections = 4
	// watchPatience is how long a request tries before it is told to ask again.
	watchPatience = 10 * time.Second
)

// watch sells admissions by optimistic locking in Redis: it watches the stock, which every
// hold changes, reads, and writes unless someone else has written since; else it begins again.
type watch struct{ *redis }

func openWatch(ctx context.Context) (Peer, error) {
	r, err := startRedis(ctx, watchConnections)
	if err != nil {
		return nil, err
	}
	return watch{r}, nil
}

// Hold tries until nobody was faster.
func (w watch) Hold(ctx context.Context, q Request) (admission int64, err error) {
	err = w.client.Dedicated(func(c rueidis.DedicatedClient) error {
		for began := time.Now(); time.Since(began) < watchPatience; {
			var overtaken bool
			if admission, overtaken, err = w.try(ctx, c, q); !overtaken {
				return err
			}
		}
		return ErrBusy
	})
	return admission, err
}

// try is one attempt, in two round trips.
func (w watch) try(ctx context.Context, c rueidis.DedicatedClient, q Request) (admission int64, overtaken bool, err error) {
	b := c.B()
	read := c.DoMulti(ctx, slices.Insert(q.reads(b), 0, b.Watch().Key(stockKey(q.Event)).Build())...)
	if err := read[0].Error(); err != nil {
		return 0, false, err
	}
	admission, done, err := decide(read[1:])
	if done || err != nil {
		if unwatched := c.Do(ctx, b.Unwatch().Build()).Error(); unwatched != nil {
			return 0, false, unwatched
		}
		return admission, false, err
	}
	write := slices.Insert(q.writes(b, admission), 0, b.Multi().Build())
	results := c.DoMulti(ctx, append(write, b.Exec().Build())...)
	_, err = results[len(results)-1].ToArray()
	if rueidis.IsRedisNil(err) {
		return 0, true, nil
	}
	return admission, false, err
}
