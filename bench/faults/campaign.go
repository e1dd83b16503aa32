package faults

import (
	"context"
	"errors"
	"fmt"

	"onsale/bench"
)

// campaign is the runs of one command, one after the other. A house is kept for the next
// run on the same broker, only if nothing was found in it; one that something was found in
// stays on disk, and the report says where. Its methods are called by one goroutine.
type campaign struct {
	cfg   Config
	tally *tally
	storm func(ctx context.Context, leg leg, seed uint64) (*outcome, error) // once, except in tests
	house *house                                                            // nil: none is open
}

// Run makes the runs and returns what came of them: those on the embedded broker, or on
// Apache Kafka if there are no others, and then the further ones on Apache Kafka. A run
// that was too slow before its first fault, as on a machine that is busy otherwise, is made
// again, once: the same seed is the same run.
//
// The error is an *onsale.AuditError if a promise was broken, bench.ErrVoid if a run put
// none to the test, both next to the report. Any other error means that a run couldn't be
// made, or its result not be checked; there is a report of those before it.
func Run(ctx context.Context, cfg Config) (*bench.Report, error) {
	cfg, err := cfg.WithDefaults()
	if err == nil {
		err = cfg.validate()
	}
	if err != nil {
		return nil, err
	}
	c := newCampaign(cfg)
	seed := cfg.Seed
	for _, leg := range cfg.legs() {
		for range leg.runs {
			if err = c.run(ctx, leg, seed); err != nil {
				break
			}
			seed++
		}
		err = errors.Join(err, c.leave(ctx, err != nil && ctx.Err() == nil)) // who interrupts a run wants nothing of it
		if err != nil {
			break
		}
	}
	report := c.tally.report()
	return report, errors.Join(err, report.Err())
}

func newCampaign(cfg Config) *campaign {
	c := &campaign{cfg: cfg, tally: newTally(cfg)}
	c.storm = c.once
	return c
}

// leg is a number of runs on one broker.
type leg struct {
	broker string // as reports name it
	script string // that starts it; "" for the embedded one
	runs   int
}

const (
	embedded = "embedded"
	apache   = "apache"
)

func (c Config) legs() []leg {
	first, further := leg{embedded, "", c.Runs}, leg{apache, c.KafkaScript, c.ApacheRuns}
	if c.Apache {
		first.broker, first.script = apache, c.KafkaScript
	}
	return []leg{first, further}
}

// run makes a run, and a second one if the first was too slow.
func (c *campaign) run(ctx context.Context, leg leg, seed uint64) error {
	for again := range 2 {
		o, err := c.storm(ctx, leg, seed)
		if err != nil {
			return err
		}
		o.broker, o.again = leg.broker, again > 0
		o.superseded = !o.again && o.slow() && len(o.broken()) == 0
		o.tell(c.cfg.Status)
		c.tally.add(o, c.folder())
		if !o.clean() {
			if err := c.leave(ctx, !o.superseded); err != nil {
				return err
			}
		}
		if !o.superseded {
			return nil
		}
		fmt.Fprintf(c.cfg.Status, "the run with seed %d was too slow to prove anything: it is made again, once\n", seed)
	}
	return nil
}

func (c *campaign) once(ctx context.Context, leg leg, seed uint64) (*outcome, error) {
	if c.house == nil {
		h, err := open(ctx, c.cfg, leg.script)
		if err != nil {
			return nil, err
		}
		c.house = h
	}
	return c.house.run(ctx, c.cfg, seed)
}

// folder is where the open house keeps everything.
func (c *campaign) folder() string {
	if c.house == nil {
		return ""
	}
	return c.house.folder
}

// leave closes the house, if one is open. What its processes said stays if it is to be kept.
func (c *campaign) leave(ctx context.Context, keep bool) error {
	h := c.house
	if h == nil {
		return nil
	}
	c.house = nil
	err := h.close(ctx)
	if keep || err != nil && ctx.Err() == nil {
		fmt.Fprintf(c.cfg.Status, "what the processes said is in %s\n", h.folder)
		return err
	}
	return errors.Join(err, h.remove())
}
