package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsale"
	"onsale/bench/peers"
	"onsale/internal/contest"
)

// PeersConfig says whom Onsale is measured beside, and how.
type PeersConfig struct {
	HoldsConfig
	Peers  []string // names of bench/peers; default: none
	Target string   // base URL of a system that speaks bench/peers/README.md; default: none
	Remote bool     // the target may be on another machine, because it is the caller's own; default false
}

// The sizes of the events.
const (
	// floorPerSecond is how much an event has for each second of a round: if that is sold before
	// the time is over, the round ends.
	floorPerSecond = 50_000
	// doorCapacity is what the event has whose refusals are counted: the whole crowd wants
	// it at once, before they are.
	doorCapacity = 500
	// doorPatience is how long that may take.
	doorPatience = time.Minute
)

// The contestants that are no peers.
const (
	sellerOnsale = "onsale"
	sellerNoop   = "noop"
	sellerTarget = "target"
)

func (c PeersConfig) validate() error {
	if err := c.HoldsConfig.validate(); err != nil {
		return err
	}
	for i, name := range c.Peers {
		if _, ok := peers.Find(name); !ok || slices.Contains(c.Peers[:i], name) {
			return wrong("peer: %q is none, or is named twice: the peers are %s", name, strings.Join(peers.All(), ", "))
		}
	}
	if c.Target != "" {
		if err := checkTarget("target", c.Target, c.Remote); err != nil {
			return err
		}
		if !strings.HasPrefix(c.Target, "http://") {
			return wrong("target: %s: only http:// is asked: TLS would be measured with it", c.Target)
		}
	}
	files, err := fileLimit()
	if err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	return checkFiles((len(c.Peers)+3)*c.Connections, files)
}

// peersRun is one run of the peers scenario.
type peersRun struct {
	cfg     PeersConfig
	house   *holdsRun // Onsale and its crowd
	run     string    // begins the names of the events: a stranger's system knows those of other runs
	sellers []*seller
	own     *onsaleBook
}

// Peers measures how many holds and refusals a second Onsale answers over HTTP, and how
// many each peer, in turns, asked by the same crowd. It ends with a count of what each
// has sold. Errors: as Rush; a peer that sold too much is an *onsale.AuditError too.
func Peers(ctx context.Context, cfg PeersConfig) (report *Report, err error) {
	cfg.HoldsConfig = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &peersRun{cfg: cfg, house: &holdsRun{cfg: cfg.HoldsConfig, cpu: costs{}}, run: "peers-" + strings.ToLower(rand.Text()[:10])}
	defer func() { err = errors.Join(err, r.leave()) }()
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	var contestants []contest.Contestant
	for _, s := range r.sellers {
		contestants = append(contestants, contest.Contestant{Name: s.name, Work: func(ctx context.Context, round int) (float64, error) { return r.holds(ctx, s, round) }})
		if s.name != sellerNoop {
			contestants = append(contestants, contest.Contestant{Name: refusalsOf(s.name), Work: func(ctx context.Context, round int) (float64, error) { return r.refusals(ctx, s, round) }})
		}
	}
	figures, err := contest.Run(ctx, cfg.Rounds, contestants, func(round int, name string, figure float64) {
		fmt.Fprintf(cfg.Status, "round %d: %-17s %8.0f/s\n", round, name, figure)
	})
	if err != nil {
		return nil, err
	}
	if report, err = r.report(figures); err != nil {
		return nil, fmt.Errorf("checking the outcome: %w", err)
	}
	return report, report.Err()
}

func refusalsOf(name string) string { return name + "_refusals" }

// prepare starts all that sells.
func (r *peersRun) prepare(ctx context.Context) error {
	if err := r.house.prepareCrowd(ctx); err != nil {
		return err
	}
	r.own = &onsaleBook{run: r.house}
	r.sellers = []*seller{{
		name: sellerOnsale, is: "Onsale, everything on", book: r.own, server: r.house.onsale.Server, crowd: r.house.crowd, tokens: r.house.tokens, cpu: costs{},
		heldMark: []byte(`"state":"held"`), refusedMark: []byte(`"code":"sold_out"`),
		traits: traits{Repeats: true, Limits: true}, // as its own tests have it
	}}
	for _, name := range append([]string{sellerNoop}, r.cfg.Peers...) {
		server, err := StartServer(ctx, "the peer "+name, r.cfg.Status, nil, "bench", "peer", name)
		if err != nil {
			return err
		}
		way, _ := peers.Find(name)
		s := &seller{name: name, is: way.Is, server: server}
		if name == sellerNoop {
			s.is = "nothing but HTTP"
		}
		if err := r.join(ctx, s, server.URL); err != nil {
			return err
		}
	}
	if r.cfg.Target != "" {
		return r.join(ctx, &seller{name: sellerTarget, is: r.cfg.Target}, r.cfg.Target)
	}
	return nil
}

// join lets the crowd connect to a seller, which is ours to end from here on, and examines it.
func (r *peersRun) join(ctx context.Context, s *seller, url string) error {
	s.tokens, s.cpu = r.house.tokens, costs{}
	r.sellers = append(r.sellers, s)
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	var err error
	if s.crowd, err = dialLoad(ctx, address, r.cfg.Connections); err != nil {
		return err
	}
	if s.name == sellerNoop {
		return nil
	}
	api, err := newAPI(url, &r.house.m)
	if err != nil {
		return err
	}
	s.book = peerBook{api}
	return s.examine(r.event("examination"))
}

// event is the id of an event.
func (r *peersRun) event(name string) onsale.EventID {
	return onsale.EventID(r.run + "-" + name)
}

// holds is a round of holds: the crowd asks a new event until the time is over, or it is
// sold out.
func (r *peersRun) holds(ctx context.Context, s *seller, round int) (float64, error) {
	of := &sale{event: r.event("nothing")}
	if s.name != sellerNoop {
		capacity := min(max(1, int64(floorPerSecond*r.cfg.Lasting.Seconds())), onsale.MaxCapacity)
		var err error
		if of, err = s.open(r.event("floor-"+strconv.Itoa(round)), capacity); err != nil {
			return 0, err
		}
	}
	began := takeSnapshot(s.server)
	got, err := s.ask(ctx, asking{of: of, part: "hold", lasting: r.cfg.Lasting, untilRefused: true})
	if err == nil && got.held == 0 {
		err = fmt.Errorf("held nothing: %d refusals, %d times busy", got.refused, got.busy)
	}
	if err == nil && round > 0 {
		s.note("hold_", &s.holds, began, got)
	}
	return float64(got.held) / got.took.Seconds(), err
}

// refusals is a round of refusals: the crowd buys a small event out, and goes on asking.
func (r *peersRun) refusals(ctx context.Context, s *seller, round int) (float64, error) {
	of, err := s.open(r.event("door-"+strconv.Itoa(round)), doorCapacity)
	if err != nil {
		return 0, err
	}
	if _, err := s.ask(ctx, asking{of: of, part: "rush", lasting: doorPatience, untilRefused: true}); err != nil {
		return 0, err
	}
	began := takeSnapshot(s.server)
	got, err := s.ask(ctx, asking{of: of, part: "late", lasting: r.cfg.Lasting})
	if err == nil && got.refused == 0 {
		err = fmt.Errorf("refused nothing: %d holds of the %d that there were, %d times busy", of.told.held, of.capacity, of.told.busy)
	}
	if err == nil && round > 0 {
		s.note("refusal_", &s.refusals, began, got)
	}
	return float64(got.refused) / got.took.Seconds(), err
}

// note adds a round to what is reported of a seller.
func (s *seller) note(kind string, waits *latency, began snapshot, got answered) {
	s.cpu.note(kind, began, takeSnapshot(s.server), got.count())
	s.answers.add(got.answers)
	for _, wait := range got.waits {
		waits.record(wait)
	}
}

// leave ends everything that prepare has started.
func (r *peersRun) leave() error {
	var errs []error
	for _, s := range r.sellers {
		if s.name == sellerOnsale { // which is the house's
			continue
		}
		if s.crowd != nil {
			errs = append(errs, s.crowd.close())
		}
		if b, ok := s.book.(peerBook); ok {
			b.api.close()
		}
		if s.server != nil {
			errs = append(errs, s.server.Stop())
		}
	}
	return errors.Join(append(errs, r.house.leave())...)
}
