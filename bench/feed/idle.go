package feed

import (
	"context"
	"time"

	"onsale/bench/rawfeed"
)

const (
	// abreastToConnect is how many connections of a crowd may be under way while all are
	// opened for the first time: fewer than a listener's queue over all crowds.
	abreastToConnect = 128
	// settle is how long after that the feed is left alone, to put its memory in order.
	settle = 5 * time.Second
	// crowdShare is the part of a crowd's connections that may be feeds: the rest are as
	// many bare sockets.
	crowdShare = 0.5
)

// connect starts the crowds and opens every feed.
func (r *run) connect(ctx context.Context) error {
	room, err := roomForConns()
	if err != nil {
		return err
	}
	r.empty = r.house.fleet.resident()
	r.figure("bytes_empty", r.empty, "bytes")
	size := max(2, 1+int(float64(r.cfg.Conns)/(crowdShare*float64(room))))
	if r.crowds, err = startTeam("crowd", size, r.cfg.Status); err != nil {
		return err
	}
	began, used := time.Now(), r.house.fleet.cpu()
	_, err = r.crowds.ask(ctx, func(i int) task {
		return task{Do: doOpen, Targets: []string{r.house.fleet.host()}, Source: rawfeed.Source(i), Count: share(r.cfg.Conns, size, i),
			Path: "/v1/events/" + string(r.house.event.ID) + "/live", Protocol: r.cfg.protocol(), Abreast: abreastToConnect}
	})
	if err != nil {
		return err
	}
	r.figure("connect_rate", float64(r.cfg.Conns)/time.Since(began).Seconds(), "1/s")
	r.figure("connect_cpu", float64((r.house.fleet.cpu()-used).Microseconds())/float64(r.cfg.Conns), "µs of CPU time a feed")
	r.figure("crowds", float64(size), "processes")
	return r.forget(ctx)
}

// rotate begins a list with its i-th element, so that crowds don't all begin with the same process.
func rotate[T any](list []T, i int) []T {
	i %= len(list)
	return append(append([]T(nil), list[i:]...), list[:i]...)
}

// idle measures what connections cost to which nothing happens but heartbeats.
func (r *run) idle(ctx context.Context) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	began, used := time.Now(), r.house.fleet.cpu()
	if err := pause(ctx, r.cfg.Idle); err != nil {
		return err
	}
	if r.cfg.Idle > 0 {
		r.ratio("idle_cpu", (r.house.fleet.cpu()-used).Seconds()/time.Since(began).Seconds())
	}
	resident := r.house.fleet.resident()
	conns := float64(r.cfg.Conns)
	r.ratio("bytes_per_conn", resident/conns)
	r.figure("bytes_per_further_conn", (resident-r.empty)/conns, "bytes")
	r.figure("files", r.house.fleet.files(), "files")
	return nil
}

// forget has the crowds forget what they have measured so far. What they found broken counts.
func (r *run) forget(ctx context.Context) error {
	_, err := r.taken(ctx)
	return err
}
