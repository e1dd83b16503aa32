// Package tiers shows that each tier of Onsale scales by its rule: the same storm goes through
// two houses in turns, one with a single process of each tier, one with several, each process at
// a loopback address of its own.
//
// One machine has no more cores because more processes share them, so nothing here is a speed.
// What shows that a tier scales out is
//
//	flat      the CPU time of an operation, summed over all processes of the tier, is the same in both
//	          houses, but for flatWithin: what is shared out costs nothing extra
//	even      the processes of a tier have done their parts of the work, by their own counters, but for evenWithin
//	spread    a striped event's holds are in the books of several masters, in proportion to its stripes there
//	correct   audits by each front find nothing, each feed of each process ends at the server's exact view, and what
//	          one front has held another one sells
//
// Only what is correct decides whether a run is good, and what is counted: not what is timed.
package tiers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/bench"
	"onsale/internal/contest"
)

// Config says how the tiers are shown. The zero value of a field means its default.
type Config struct {
	Buyers   int       // of a round, each of whom buys one admission; default 6,000
	Watchers int       // feeds that are open meanwhile; default 600
	Rounds   int       // that count; default 3
	Status   io.Writer // hears how it goes on; default: nobody
}

const (
	defaultBuyers   = 6_000
	defaultWatchers = 600
	defaultRounds   = 3

	minBuyers   = 10 * stripes
	maxBuyers   = 100_000
	maxWatchers = 10_000
	maxRounds   = 100
)

func (c Config) withDefaults() Config {
	if c.Buyers == 0 {
		c.Buyers = defaultBuyers
	}
	if c.Watchers == 0 {
		c.Watchers = defaultWatchers
	}
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	if c.Status == nil {
		c.Status = io.Discard
	}
	return c
}

func (c Config) validate() error {
	if c.Buyers < minBuyers || c.Buyers > maxBuyers || c.Watchers < 2 || c.Watchers > maxWatchers || c.Rounds < 1 || c.Rounds > maxRounds {
		return &bench.ConfigError{Text: fmt.Sprintf("buyers must be from %d to %d, watchers from 2 to %d, and rounds from 1 to %d",
			minBuyers, maxBuyers, maxWatchers, maxRounds)}
	}
	return nil
}

// run is one run of the scenario.
type run struct {
	cfg     Config
	houses  []*house
	ledgers []*ledger
	wire    wire // what a hold takes on the wire
}

// Run storms both houses in turns. Errors: as bench.Rush.
func Run(ctx context.Context, cfg Config) (report *bench.Report, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg}
	defer func() {
		for _, h := range r.houses {
			err = errors.Join(err, h.close())
		}
	}()
	var all []contest.Contestant
	for i, p := range plans {
		h, err := open(ctx, p, cfg)
		if err != nil {
			return nil, fmt.Errorf("preparing: %w", err)
		}
		r.houses, r.ledgers = append(r.houses, h), append(r.ledgers, newLedger(p))
		all = append(all, contest.Contestant{Name: p.name, Work: func(ctx context.Context, round int) (float64, error) { return r.round(ctx, i, round) }})
	}
	if _, err := contest.Run(ctx, cfg.Rounds, all, func(round int, name string, figure float64) {
		fmt.Fprintf(cfg.Status, "round %d: house %-5s %6.1f µs of CPU time a hold on fronts and Redis\n", round, name, figure)
	}); err != nil {
		return nil, err
	}
	for i, h := range r.houses {
		if r.ledgers[i].partitions, err = h.purchases(ctx); err != nil {
			return nil, err
		}
		for _, front := range h.fronts {
			own, shared := bench.Resident(front.PID())
			r.ledgers[i].resident = max(r.ledgers[i].resident, float64(own+shared))
		}
	}
	report = r.report()
	for name, ratio := range report.Ratios {
		if ratio > 1+flatWithin {
			fmt.Fprintf(cfg.Status, "not flat: %s is %.2f\n", name, ratio)
		}
	}
	report.OK = report.Err() == nil
	return report, report.Err()
}

// round is one storm in one house. Its figure is what a hold has cost so far.
func (r *run) round(ctx context.Context, house, round int) (figure float64, err error) {
	l := r.ledgers[house]
	s := &storm{house: r.houses[house], round: round, ledger: l}
	defer func() { err = errors.Join(err, s.leave()) }()
	if err := s.prepare(ctx, r.cfg.Buyers); err != nil {
		return 0, err
	}
	if err := s.run(ctx, r.cfg.Watchers); err != nil {
		return 0, err
	}
	if err := errors.Join(s.meet(ctx), s.audit(), s.countBooks(ctx)); err != nil {
		return 0, err
	}
	if round == 0 {
		if r.wire.ask == 0 {
			if r.wire, err = s.measureWire(ctx); err != nil {
				return 0, err
			}
		}
		l.forget()
	}
	return l.cost(tierFront, stepHold) + l.cost(tierRedis, stepHold), nil
}

// audit has every event audited, by each front.
func (s *storm) audit() error {
	for front := range s.house.fronts {
		for _, id := range s.events {
			var found onsale.AuditReport
			if err := s.house.operate(front, "GET", "/v1/admin/events/"+string(id)+"/audit?wait=30", nil, &found); err != nil {
				return fmt.Errorf("audit of event %s: %w", id, err)
			}
			for _, v := range found.Violations {
				s.ledger.broken(v.Invariant, v.Subject, "%s", v.Detail)
			}
			for _, section := range found.Sections { // one admission each, for exactly as many as came
				if section.Sold != section.Capacity || section.Claimed != section.Capacity {
					s.ledger.broken(onsale.InvariantCounts, string(id), "%d admissions, %d sold in Redis, %d claimed in Postgres",
						section.Capacity, section.Sold, section.Claimed)
				}
			}
		}
	}
	return nil
}

// countBooks counts the striped event's books and holds on each shard.
func (s *storm) countBooks(ctx context.Context) error {
	books, holds, err := s.house.shards.books(ctx, s.events[0])
	if err == nil {
		s.ledger.books, s.ledger.holds = addUp(s.ledger.books, books), addUp(s.ledger.holds, holds)
	}
	return err
}

// purchases is how many there are in each partition.
func (h *house) purchases(ctx context.Context) ([]float64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(h.seed()))
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, onsale.TopicPurchases)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("count the purchases of each partition: %w", err)
	}
	each := make([]float64, h.plan.partitions)
	ends.Each(func(o kadm.ListedOffset) {
		if int(o.Partition) < len(each) {
			each[o.Partition] = float64(o.Offset)
		}
	})
	return each, nil
}

// report says what was found.
func (r *run) report() *bench.Report {
	report := bench.NewReport("tiers", map[string]any{"buyers": r.cfg.Buyers, "watchers": r.cfg.Watchers, "rounds": r.cfg.Rounds,
		"stripes": stripes, "events": 1 + halls, "flat_within": flatWithin, "houses": housesOf(r.houses)})
	for _, l := range r.ledgers {
		report.Audit.Violations = append(report.Audit.Violations, l.violations...)
		maps.Copy(report.Figures, l.figures())
	}
	report.Figures["hold_ask"] = bench.Figure{Value: r.wire.ask, Unit: "bytes"}
	report.Figures["hold_answer"] = bench.Figure{Value: r.wire.answer, Unit: "bytes"}
	maps.Copy(report.Ratios, flatness(r.ledgers[0], r.ledgers[1]))
	report.Audit.Violations = append(report.Audit.Violations, r.ledgers[1].uneven()...)
	for _, l := range r.ledgers {
		if want := r.cfg.Watchers * r.cfg.Rounds; l.exact != want && len(report.Audit.Violations) == 0 {
			report.Audit.Violations = append(report.Audit.Violations, onsale.Violation{Invariant: onsale.InvariantFeed, Subject: "house " + l.plan.name,
				Detail: fmt.Sprintf("%d of %d feeds ended at the server's view", l.exact, want)})
		}
	}
	return report
}

// housesOf is who was where, for the report.
func housesOf(houses []*house) map[string]any {
	all := map[string]any{}
	for _, h := range houses {
		at := map[string][]string{}
		for tier, servers := range map[string][]*bench.Server{tierFront: h.fronts, tierFeed: h.feeds, tierSettle: h.settlers} {
			for _, s := range servers {
				at[tier] = append(at[tier], s.URL)
			}
		}
		for _, m := range h.shards.masters {
			at[tierRedis] = append(at[tierRedis], m.address())
		}
		all[h.plan.name] = map[string]any{"at": at, "partitions": h.plan.partitions}
	}
	return all
}
