package faults

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"onsale"
	"onsale/bench"
	"onsale/internal/crashpoint"
)

// tooSlow is a run in which too little was sold before the first fault.
func tooSlow() *outcome {
	o := kept()
	o.before.Store(&bench.Progress{Elapsed: calm, Held: 10, Accepted: 10})
	return o
}

// campaignOf runs once with seed 7, and then gives the outcomes one after the other.
func campaignOf(t *testing.T, said *strings.Builder, outcomes ...*outcome) (made int, report *bench.Report) {
	t.Helper()
	cfg, err := Config{Seed: 7, Binary: os.Args[0], Status: said}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c := newCampaign(cfg)
	c.storm = func(_ context.Context, _ leg, seed uint64) (*outcome, error) {
		o := outcomes[made]
		o.seed = seed
		made++
		return o, nil
	}
	if err := c.run(t.Context(), cfg.legs()[0], 7); err != nil {
		t.Fatal(err)
	}
	return made, c.tally.report()
}

func TestARunThatWasTooSlowIsMadeAgainOnceAndThatIsSaid(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	made, report := campaignOf(t, &said, tooSlow(), kept())
	if made != 2 || report.Err() != nil || report.Figures["hit_after_pin"].Value != 1 || report.Figures["accepted"].Value != 800 {
		t.Errorf("%d runs, %v, %+v", made, report.Err(), report.Figures)
	}
	if !strings.Contains(said.String(), "seed 7 was too slow") || !strings.Contains(report.Summary, "seed 7 was made again") {
		t.Errorf("it says\n%s\n%s", said.String(), report.Summary)
	}
	made, report = campaignOf(t, &said, tooSlow(), tooSlow())
	if err := report.Err(); made != 2 || !errors.Is(err, bench.ErrVoid) || !strings.Contains(report.Summary, "seed 7 is VOID") {
		t.Errorf("twice too slow: %d runs, %v\n%s", made, err, report.Summary)
	}
}

func TestARunIsNotMadeAgainForAnyOtherReason(t *testing.T) {
	t.Parallel()
	unfired, broken := kept(), tooSlow()
	unfired.done = unfired.done[:1]
	broken.storm.Audit.Violations = []onsale.Violation{{Invariant: onsale.InvariantOrders, Subject: "ord_x", Detail: "is claimed still"}}
	for name, o := range map[string]*outcome{"a fault is missing": unfired, "too slow, and a promise is broken": broken} {
		var said strings.Builder
		if made, report := campaignOf(t, &said, o); made != 1 || report.Err() == nil {
			t.Errorf("%s: %d runs, %v", name, made, report.Err())
		}
	}
}

func TestASummaryCountsEveryPointOverAllRunsThatProveSomething(t *testing.T) {
	t.Parallel()
	cfg, err := Config{Binary: os.Args[0], Hits: 2}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	all := newTally(cfg)
	void := kept()
	void.done[1].Failed = "it was not reached"
	for _, o := range []*outcome{kept(), void, kept()} {
		o.broker = embedded
		all.add(o, "")
	}
	all.sum.Void = ""
	report := all.report()
	if got := report.Figures["hit_after_pin"].Value; got != 2 {
		t.Errorf("after pin is hit %v times, in two runs that count", got)
	}
	if report.Figures["faults"].Value != 4 || report.Figures["runs"].Value != 3 {
		t.Errorf("%+v", report.Figures)
	}
	if err := report.Err(); !errors.Is(err, bench.ErrVoid) || !strings.Contains(err.Error(), "hit 0 times: 2 are needed") {
		t.Errorf("points that were not hit often enough: %v", err)
	}
	for _, p := range crashpoint.Points {
		if !strings.Contains(report.Summary, string(p)+"   ") {
			t.Errorf("%q is not in\n%s", p, report.Summary)
		}
	}
}

func TestAStormWithoutRefundsOrLatePaymentsProvesNothingOfThem(t *testing.T) {
	t.Parallel()
	for _, name := range comeAfter {
		o := kept()
		delete(o.storm.Figures, name)
		if text := o.void(); !strings.Contains(text, name) {
			t.Errorf("without %s it is void because %q", name, text)
		}
	}
}

func TestRunsOnApacheKafkaFollowThoseOnTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	script := os.Args[0] // that it is there is all that is looked at
	for name, test := range map[string]struct {
		cfg  Config
		want [2]leg
	}{
		"none":         {Config{Runs: 3, KafkaScript: script}, [2]leg{{embedded, "", 3}, {apache, script, 0}}},
		"some":         {Config{Runs: 3, ApacheRuns: 2, KafkaScript: script}, [2]leg{{embedded, "", 3}, {apache, script, 2}}},
		"nothing else": {Config{Runs: 3, Apache: true, KafkaScript: script}, [2]leg{{apache, script, 3}, {apache, script, 0}}},
	} {
		if got := [2]leg(test.cfg.legs()); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
