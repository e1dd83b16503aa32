package holds

import (
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"onsale/internal/bareurl"
)

const (
	dialTimeout  = 3 * time.Second
	writeTimeout = 5 * time.Second
)

// Connect returns a client of the Redis at url, as redis://host:port/0, made for
// calls of a script at a time: no client-side cache, and pipelining by itself.
func Connect(url string) (rueidis.Client, error) {
	opt, err := rueidis.ParseURL(url)
	if err != nil {
		// What is wrong with it would quote it, password and all.
		return nil, fmt.Errorf("redis address %s is not of the form redis://host:6379/0: give another one with --redis", bareurl.Of(url))
	}
	opt.DisableCache = true
	opt.Dialer.Timeout = dialTimeout
	opt.ConnWriteTimeout = writeTimeout
	opt.ClientName = "onsale"
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("redis at %s can't be reached: start it, or give another address with --redis: %w", opt.InitAddress[0], err)
	}
	return client, nil
}
