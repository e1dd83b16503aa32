package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onsale"
	"onsale/internal/lifecycle"
	"onsale/internal/stores"
	"onsale/persist"
)

// city is an Onsale of many processes, for a storm: each role is one, and the feed as many as
// its open files ask for. It is on this machine with the whole crowd.
type city struct {
	Target, FeedTarget, AdminToken string

	folder  string
	stores  lifecycle.Chain
	servers []*Server // stopped in reverse
	env     []string
	restore func() error // what the machine was set to
}

const (
	anyPort = "127.0.0.1:0"
	// feedsEach is how many feeds a process of the feed is given: fewer than three quarters of the 20,000 open
	// files that many machines allow, with room for those that reconnect before their end is known.
	feedsEach = 12_500
	// feedRate is how many feeds are let in each second: what one front lets in, so that sign-ins get
	// through while the feeds open.
	feedRate = 4_000
	// feedEffort is how much of the processors feeds may take, in percent: as much again goes to those who read
	// them, which are elsewhere when people come from elsewhere.
	feedEffort = "16"
	// settlingNice is how much what settles gives way to what sells, and watchingNice the feed: fewer
	// frames, with more in each, and orders that wait a little in Kafka cost nobody a seat.
	settlingNice = 5
	watchingNice = 15
)

// startCity starts a city for so many feeds and returns when all of it serves.
func startCity(ctx context.Context, status io.Writer, feeds int) (c *city, err error) {
	c = &city{AdminToken: rand.Text(), folder: filepath.Join(os.TempDir(), "onsale-storm-"+rand.Text()), restore: withoutAutogroup()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	redis := stores.NewRedis(stores.RedisConfig{Folder: filepath.Join(c.folder, "redis"), Log: quiet})
	postgres := stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(c.folder, "postgres"), Log: quiet})
	c.stores.Parts = []lifecycle.Part{redis, postgres}
	if err := c.stores.Start(ctx); err != nil {
		return c, err
	}
	if redis.Embedded() {
		return c, errors.New("there is no redis-server: install it (apt install redis-server)")
	}
	calm(postgres.PID(), settlingNice)
	if err := persist.Migrate(ctx, postgres.URL()); err != nil {
		return c, err
	}
	kafka, err := StartServer(ctx, "Kafka", status, nil, Broker(filepath.Join(c.folder, "kafka"), "")...)
	if err != nil {
		return c, err
	}
	c.servers = append(c.servers, kafka)
	c.env = []string{ // which not everybody can read, as a command line
		"ONSALE_REDIS=" + redis.URL(), "ONSALE_POSTGRES=" + postgres.URL(), "ONSALE_KAFKA=" + strings.TrimPrefix(kafka.URL, "http://"),
		"ONSALE_SECRET=" + rand.Text() + rand.Text(), "ONSALE_ADMIN_TOKEN=" + c.AdminToken,
	}
	return c, c.startRoles(ctx, status, feeds)
}

// startRoles starts what sells, and then the feed.
func (c *city) startRoles(ctx context.Context, status io.Writer, feeds int) error {
	payment, err := c.role(ctx, settlingNice, status, "paysim")
	if err != nil {
		return err
	}
	c.env = append(c.env, "ONSALE_PAYMENTS="+payment.URL)
	front, err := c.role(ctx, 0, status, "serve", "--max-feeds", "1")
	if err != nil {
		return err
	}
	c.Target = front.URL
	if _, err := c.role(ctx, settlingNice, status, "settle"); err != nil {
		return err
	}
	return c.startFeed(ctx, status, feeds)
}

func (c *city) role(ctx context.Context, nice int, status io.Writer, name string, more ...string) (*Server, error) {
	s, err := StartNice(ctx, nice, name, status, c.env, append([]string{name, "--listen", anyPort}, more...)...)
	if err == nil {
		c.servers = append(c.servers, s)
	}
	return s, err
}

// startFeed starts the processes of the feed, behind one port.
func (c *city) startFeed(ctx context.Context, status io.Writer, feeds int) error {
	procs := (feeds + feedsEach - 1) / feedsEach
	s, err := StartNice(ctx, watchingNice, "feed", status, c.env, "feed", "--listen", anyPort, "--procs", strconv.Itoa(procs),
		"--max-feeds", strconv.Itoa(RoomForFeeds(feeds, procs)), "--max-feed-rate", strconv.Itoa(feedRate), "--max-feed-effort", feedEffort)
	if err != nil {
		return err
	}
	c.servers = append(c.servers, s)
	c.FeedTarget = s.URL
	return nil
}

// RoomForFeeds is how many feeds a fleet must let in so that none of so many is sent away. Each process
// has its share of it, and chance gives some more than theirs: five standard deviations are
// hardly ever exceeded. A tenth is for clients that were cut, which may be back before that is known.
func RoomForFeeds(conns, procs int) int {
	share := float64(conns) / float64(procs)
	return procs * int(math.Ceil(1.1*share+5*math.Sqrt(share)))
}

// used is the CPU time of what sells, by what it is: the roles, Kafka, and Redis and Postgres by their programs.
func (c *city) used() map[string]time.Duration {
	roles := map[int]string{}
	for _, s := range c.servers {
		roles[s.process.Pid] = strings.ToLower(s.name)
	}
	return usedBy(readStats(), roles, os.Getpid())
}

// usedBy is the CPU time of each role, by its pids, and of the stores that own has started, with that of their children:
// of Postgres's backends, those included that have ended with their connections.
func usedBy(stats []procStat, roles map[int]string, own int) map[string]time.Duration {
	used := map[string]time.Duration{}
	masters := map[int]bool{} // our own Postgres's, whose children do its work
	for _, s := range stats {
		all := s.used + s.reaped
		switch {
		case roles[s.pid] != "":
			used[roles[s.pid]] += all
		case s.parent == own && strings.HasPrefix(s.name, "redis"):
			used["redis"] += all
		case s.parent == own && strings.HasPrefix(s.name, "postgres"):
			masters[s.pid] = true
			used["postgres"] += all
		}
	}
	for _, s := range stats {
		switch role := roles[s.parent]; {
		case masters[s.parent]:
			used["postgres"] += s.used
		case role != "" && roles[s.pid] == "": // a process of the feed's fleet
			used[role] += s.used
		}
	}
	return used
}

// stop ends every process, the feed's first, and removes what they kept.
func (c *city) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	errs := []error{c.restore()}
	for i := len(c.servers) - 1; i >= 0; i-- {
		errs = append(errs, c.servers[i].Stop())
	}
	if err := errors.Join(append(errs, c.stores.Stop(ctx), os.RemoveAll(c.folder))...); err != nil {
		return fmt.Errorf("stopping what was stormed: %w", err)
	}
	return nil
}
