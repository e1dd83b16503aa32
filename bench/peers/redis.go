package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/internal/stores"
)

// redis is a private Redis, as Onsale's own: it writes nothing to disk. Its client
// pipelines by itself what is asked at the same time.
type redis struct {
	folder string
	server *stores.Redis
	client rueidis.Client
}

// startRedis starts one in a folder of its own; dedicated is how many connections there are
// at most for those who need one for themselves.
func startRedis(ctx context.Context, dedicated int) (r *redis, err error) {
	r = &redis{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("its Redis: %w", err), r.Close())
		}
	}()
	if r.folder, err = makeFolder(); err != nil {
		return r, err
	}
	r.server = stores.NewRedis(stores.RedisConfig{Folder: r.folder})
	if err := r.server.Start(ctx); err != nil {
		return r, err
	}
	if r.server.Embedded() {
		return r, errors.New("redis-server is not installed, and a stand-in is no measure")
	}
	option, err := rueidis.ParseURL(r.server.URL())
	if err != nil {
		return r, err
	}
	option.BlockingPoolSize = dedicated
	option.DisableCache = true
	r.client, err = rueidis.NewClient(option)
	return r, err
}

// The keys of an event: a hash with "left" and "limit", one of buyers and how many each
// has, and one of holds, by buyer and key, and the admission of each.
func stockKey(event string) string  { return "{" + event + "}" }
func buyersKey(event string) string { return "{" + event + "}:buyers" }
func holdsKey(event string) string  { return "{" + event + "}:holds" }

func (q Request) holdField() string { return q.Buyer + " " + q.Key }

// Open writes the event's stock.
func (r *redis) Open(ctx context.Context, event string, capacity, limit int64) error {
	return r.client.Do(ctx, r.client.B().Hset().Key(stockKey(event)).FieldValue().
		FieldValue("left", strconv.FormatInt(capacity, 10)).FieldValue("limit", strconv.FormatInt(limit, 10)).Build()).Error()
}

// Sold counts an event's holds.
func (r *redis) Sold(ctx context.Context, event string) (int64, error) {
	return r.client.Do(ctx, r.client.B().Hlen().Key(holdsKey(event)).Build()).AsInt64()
}

// reads are the commands that read what decide needs.
func (q Request) reads(b rueidis.Builder) []rueidis.Completed {
	return []rueidis.Completed{
		b.Hget().Key(holdsKey(q.Event)).Field(q.holdField()).Build(),
		b.Hget().Key(buyersKey(q.Event)).Field(q.Buyer).Build(),
		b.Hmget().Key(stockKey(q.Event)).Field("left", "limit").Build(),
	}
}

// decide says what becomes of a wish: an admission that is the buyer's already (done), one that
// is to be written, or a refusal.
func decide(read []rueidis.RedisResult) (admission int64, done bool, err error) {
	if again, err := read[0].AsInt64(); !rueidis.IsRedisNil(err) {
		return again, true, err
	}
	held, err := read[1].AsInt64()
	if err != nil && !rueidis.IsRedisNil(err) {
		return 0, false, err
	}
	stock, err := read[2].AsIntSlice()
	switch {
	case err != nil:
		return 0, false, err
	case held >= stock[1]:
		return 0, false, ErrLimit
	case stock[0] < 1:
		return 0, false, ErrNoneLeft
	}
	return stock[0], false, nil
}

// writes are the commands that write the hold that decide has found possible.
func (q Request) writes(b rueidis.Builder, admission int64) []rueidis.Completed {
	return []rueidis.Completed{
		b.Hincrby().Key(stockKey(q.Event)).Field("left").Increment(-1).Build(),
		b.Hincrby().Key(buyersKey(q.Event)).Field(q.Buyer).Increment(1).Build(),
		b.Hset().Key(holdsKey(q.Event)).FieldValue().FieldValue(q.holdField(), strconv.FormatInt(admission, 10)).Build(),
	}
}

// Close ends Redis and removes its folder.
func (r *redis) Close() error {
	if r.client != nil {
		r.client.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	var stopped error
	if r.server != nil {
		stopped = r.server.Stop(ctx)
	}
	if r.folder == "" {
		return stopped
	}
	return errors.Join(stopped, os.RemoveAll(r.folder))
}
