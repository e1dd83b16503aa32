package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"onsale"
)

// RushConfig says which rush to make. The zero value of a field means its default.
type RushConfig struct {
	Users      int            // simulated buyers; default 2,000
	Over       time.Duration  // their arrivals are spread over it; default 5 s
	Target     string         // base URL of the front tier; default http://127.0.0.1:8080
	FeedTarget string         // base URL of the feed, where that is another process, or several with commas; default Target
	AdminToken string         `json:"-"` // the operator's token: a rush ends with an audit; no default
	Event      onsale.EventID // an open event to storm; default: one made for the rush, closed after it
	Create     *onsale.Event  // an event to create, open and storm, left open; not with Event
	Seed       uint64         // who does what and when is drawn from it; default 1
	Tickets    int            // admissions of the event made for the rush; default one and a half for each buyer
	Think      time.Duration  // a person's mean pause between two steps; default 400 ms
	Profile    Profile        // how the arrivals are spread over Over; default poisson. A file's says how many come and over what time, too
	Mix        Mix            // what the crowd asks for; default 40 picked, 25 best, 35 general
	Bots       float64        // the share of the crowd that is bots, from 0 to 1; default: none
	MostLate   time.Duration  // how late the bench may be itself in 99 of 100 sendings before the run is void; default: however late

	ResultTimeout time.Duration // how long an accepted order may take to its end; default 60 s
	ExpiryWait    time.Duration // how long to wait at the end for holds that were let go to expire; default 20 s
	FeedTimeout   time.Duration // how long the feeds may take at the end to show what the server shows; default 20 s
	Remote        bool          // the targets may be on another machine, because they are the caller's own; default false
	Storm         StormConfig   // how the crowd is dealt out to processes; default: it is in this one

	// What a rush on a house that breaks has besides. Its buyers are the same.
	Watchers    int                         // feeds that stay open when their buyers have left; default: all
	SlowPayment time.Duration               // how long the provider takes for the cards it is slow with; default 50 ms
	Aftermath   bool                        // refunds, late payments and charges that are called off; the provider must be the simulator; late is SlowPayment after the decline
	Forgetful   bool                        // Redis may lose what is only held: its key may then hold anew, in a later epoch
	GoOn        func() bool                 `json:"-"` // asked, when all have arrived, whether one more shall, at the mean pace; as many again at most; default: no
	Heal        func(context.Context) error `json:"-"` // called when the last buyer has left, before anything is checked; default: nothing

	// Used says how much CPU time what is stormed has used until now, by what it is; of a storm alone. Default:
	// nobody knows.
	Used func() map[string]time.Duration `json:"-"`

	// Progress is told the figures so far about 5 times a second, and whenever the phase
	// changes; calls don't overlap. It must not block. Default: nobody is told.
	Progress func(Progress) `json:"-"`
}

// The defaults and bounds of a rush.
const (
	defaultUsers         = 2_000
	defaultOver          = 5 * time.Second
	defaultTarget        = "http://127.0.0.1:8080"
	defaultThink         = 400 * time.Millisecond
	defaultResultTimeout = 60 * time.Second
	defaultExpiryWait    = 20 * time.Second
	defaultFeedTimeout   = 20 * time.Second
	defaultSlowPayment   = 50 * time.Millisecond

	maxUsers         = 200_000
	maxOver          = time.Hour
	maxResultTimeout = 10 * time.Minute

	// spareFiles is what the process opens besides the buyers' feeds: the pool of
	// HTTP connections, and what whoever embeds the bench has open.
	spareFiles = maxHTTPConns + 256
)

// WithDefaults returns the configuration with every unset field set.
func (c RushConfig) WithDefaults() RushConfig {
	if c.Users == 0 {
		c.Users = cmp.Or(c.Profile.users(), defaultUsers)
	}
	if c.Over == 0 {
		c.Over = defaultOver
	}
	if c.Profile.Name == "" {
		c.Profile.Name = ProfilePoisson
	}
	c.Over = c.Profile.lasts(c.Over)
	if c.Mix == (Mix{}) {
		c.Mix = defaultMix
	}
	if c.Target == "" {
		c.Target = defaultTarget
	}
	if c.FeedTarget == "" {
		c.FeedTarget = c.Target
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Think == 0 {
		c.Think = defaultThink
	}
	if c.ResultTimeout == 0 {
		c.ResultTimeout = defaultResultTimeout
	}
	if c.ExpiryWait == 0 {
		c.ExpiryWait = defaultExpiryWait
	}
	if c.FeedTimeout == 0 {
		c.FeedTimeout = defaultFeedTimeout
	}
	if c.Watchers == 0 {
		c.Watchers = c.Users
	}
	if c.SlowPayment == 0 {
		c.SlowPayment = defaultSlowPayment
	}
	if c.GoOn == nil {
		c.GoOn = func() bool { return false }
	}
	if c.Used == nil {
		c.Used = func() map[string]time.Duration { return nil }
	}
	if c.Heal == nil {
		c.Heal = func(context.Context) error { return nil }
	}
	return c
}

// ConfigError says in one line which setting is wrong and what to give instead.
type ConfigError struct{ Text string }

// Error implements error.
func (e *ConfigError) Error() string { return e.Text }

// validate returns a *ConfigError that names the first setting to mend.
func (c RushConfig) validate() error {
	switch {
	case c.Users < 1 || c.Users > maxUsers:
		return wrong("users: %d must be from 1 to %d", c.Users, maxUsers)
	case c.Over < 0 || c.Over > maxOver:
		return wrong("over: %v must be from 0s to %v", c.Over, maxOver)
	case c.Tickets < 0 || c.Tickets > onsale.MaxCapacity:
		return wrong("tickets: %d must be from 1 to %d", c.Tickets, onsale.MaxCapacity)
	case c.Think < 0 || c.MostLate < 0:
		return wrong("think and most late must not be negative")
	case !(c.Bots >= 0 && c.Bots <= 1): // nor not a number
		return wrong("bots: %v must be a share from 0 to 1", c.Bots)
	case c.ResultTimeout < time.Second || c.ResultTimeout > maxResultTimeout:
		return wrong("result timeout: %v must be from 1s to %v", c.ResultTimeout, maxResultTimeout)
	case c.Watchers < 0 || c.SlowPayment < 0:
		return wrong("watchers and slow payment must not be negative")
	case c.AdminToken == "":
		return wrong("admin token: give --admin-token or ONSALE_ADMIN_TOKEN: a rush ends with an audit, which is the operator's")
	case c.Event != "" && c.Create != nil:
		return wrong("event: storm event %q or create %q, not both", c.Event, c.Create.ID)
	case c.Event != "" && !c.Event.Valid():
		return wrong("event: %q must be 1 to 48 of a-z, 0-9 and '-'", c.Event)
	}
	if err := errors.Join(c.Profile.validate(), c.Mix.validate()); err != nil {
		return err
	}
	if err := checkTarget("target", c.Target, c.Remote); err != nil {
		return err
	}
	for feed := range strings.SplitSeq(c.FeedTarget, ",") {
		if err := checkTarget("feed", feed, c.Remote); err != nil {
			return err
		}
	}
	if c.Storm.deals() {
		return c.Storm.validate(c)
	}
	if strings.Contains(c.FeedTarget, ",") {
		return wrong("feed: several of them are for a rush of several processes: add --workers")
	}
	files, err := fileLimit()
	if err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	return checkFiles(c.Users, files)
}

// checkFiles sees that a process that may open so many files can hold the buyers' feeds.
func checkFiles(users int, limit uint64) error {
	if need := uint64(users) + spareFiles; limit < need {
		return wrong("users: %d buyers need %d open files, and this process may have %d: raise it with ulimit -n, or ask for fewer",
			users, need, limit)
	}
	return nil
}

// checkTarget accepts http://HOST:PORT or https://HOST:PORT. A host that isn't this
// machine is refused unless remote: a rush on someone else's server is an attack.
func checkTarget(name, target string, remote bool) error {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return wrong("%s: %q must be a base URL such as %s", name, target, defaultTarget)
	}
	ip := net.ParseIP(u.Hostname())
	if !remote && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return wrong("%s: %s is not this machine; a rush is an attack on anyone else's: add --yes-i-own-this if it is yours", name, u.Host)
	}
	return nil
}

func wrong(format string, args ...any) error {
	return &ConfigError{Text: fmt.Sprintf(format, args...)}
}
