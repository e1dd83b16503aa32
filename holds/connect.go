package holds

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"onsale/internal/bareurl"
)

const (
	dialTimeout  = 3 * time.Second
	writeTimeout = 5 * time.Second
	// topologyEvery is how often a client asks who the master is, or where the slots
	// are: the news of it is told only once, and may be missed.
	topologyEvery = 5 * time.Second
	// maxRedirections is how often a call follows a slot that moves.
	maxRedirections = 8
)

// AddressForms says what Connect takes.
const AddressForms = "redis://HOST:PORT/DB, redis://HOST:PORT,HOST:PORT,… for a cluster, or redis+sentinel://HOST:PORT,HOST:PORT,…/MASTER"

// Connect returns a client of the Redis at an address, made for calls of a script at a time:
// no client-side cache, and pipelining by itself. See AddressForms; the scheme may be
// rediss or rediss+sentinel for TLS. What stands before an @ is Redis's user and
// password; a Sentinel's own are ?sentinel_username= and ?sentinel_password=.
func Connect(address string) (rueidis.Client, error) {
	opt, err := options(address, "--redis")
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("redis at %s can't be reached: start it, or give another address with --redis: %w", strings.Join(opt.InitAddress, ","), err)
	}
	return client, nil
}

// options reads an address that the named flag gave. Its error doesn't quote what is
// wrong: that could be the password.
func options(address, flag string) (rueidis.ClientOption, error) {
	opt, err := parse(address)
	if err != nil {
		return opt, fmt.Errorf("redis address %s is not of the form %s: give another one with %s", bareurl.Of(address), AddressForms, flag)
	}
	opt.DisableCache = true
	opt.Dialer.Timeout = dialTimeout
	opt.ConnWriteTimeout = writeTimeout
	opt.ClientName = "onsale"
	opt.ClusterOption = rueidis.ClusterOption{ShardsRefreshInterval: topologyEvery, MaxMovedRedirections: maxRedirections}
	if opt.Sentinel.MasterSet != "" {
		opt.Sentinel.Dialer, opt.Sentinel.TLSConfig, opt.Sentinel.ClientName = opt.Dialer, opt.TLSConfig, opt.ClientName
		opt.Sentinel.TopologyRefreshInterval = topologyEvery
	}
	return opt, nil
}

var errForm = errors.New("not of a known form")

// parse reads an address with any number of hosts, which a URL can't have: as one
// URL for each host.
func parse(text string) (rueidis.ClientOption, error) {
	var opt rueidis.ClientOption
	scheme, rest, ok := strings.Cut(text, "://")
	scheme, sentinel := strings.CutSuffix(scheme, "+sentinel")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(authority, "@") + 1
	master := ""
	if sentinel {
		master, path, _ = strings.Cut(path, "/")
	}
	if path != "" {
		path = "/" + path
	}
	values, err := url.ParseQuery(query)
	if err != nil || !ok || sentinel != (master != "") {
		return opt, errForm
	}
	for i, host := range strings.Split(authority[at:], ",") {
		one, err := rueidis.ParseURL(scheme + "://" + authority[:at] + host + path + "?" + query)
		if err != nil || host == "" && scheme != "unix" {
			return opt, errForm
		}
		if i == 0 {
			opt = one
			continue
		}
		opt.InitAddress = append(opt.InitAddress, one.InitAddress[0])
	}
	if sentinel {
		opt.Sentinel = rueidis.SentinelOption{MasterSet: master, Username: values.Get("sentinel_username"), Password: values.Get("sentinel_password")}
	}
	if opt.TLSConfig != nil && (sentinel || len(opt.InitAddress) > 1) {
		opt.TLSConfig.ServerName = "" // each server's own
	}
	return opt, nil
}
