package bench

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"onsale"
)

// How what was measured becomes a report. The names of figures are part of the
// report's stable form.

// The units of figures.
const (
	unitMs     = "ms"
	unitMicros = "µs"
	unitRate   = "1/s"
	unitBytes  = "bytes"
	unitBuyers = "buyers"
	unitOrders = "orders"
	unitHolds  = "holds"
	unitPlaces = "admissions"
	unitFeeds  = "feeds"
	unitTimes  = "requests"
)

// step is a latency that a report tells of.
type step struct {
	name     string // the figures are name_p50, name_p95, name_p99, name_max and name_count
	label    string // in the table
	latency  func(*measured) *latency
	rare     bool // the table leaves it away if there was none
	byServer bool // it counts from a time by the server's clock
}

var steps = []step{
	{name: "session", label: "sign in", latency: func(m *measured) *latency { return &m.session }},
	{name: "feed_open", label: "open the feed", latency: func(m *measured) *latency { return &m.feedOpen }},
	{name: "answered", label: "first press answered", latency: func(m *measured) *latency { return &m.answered }, rare: true},
	{name: "hold", label: "hold", latency: func(m *measured) *latency { return &m.hold }},
	{name: "checkout", label: "check out", latency: func(m *measured) *latency { return &m.checkout }},
	{name: "settle", label: "settled after 202", latency: func(m *measured) *latency { return &m.settle }},
	{name: "staleness", label: "feed behind", latency: func(m *measured) *latency { return &m.staleness }, rare: true, byServer: true},
	{name: "expiry_lag", label: "freed after its end", latency: func(m *measured) *latency { return &m.expiryLag }, rare: true, byServer: true},
	{name: "bot_hold", label: "a bot's hold", latency: func(m *measured) *latency { return &m.botHold }, rare: true},
	{name: "bot_checkout", label: "a bot's check-out", latency: func(m *measured) *latency { return &m.botCheckout }, rare: true},
	{name: "late", label: "sent too late", latency: func(m *measured) *latency { return &m.late }},
}

// Percentile is the value that so many in a hundred do not exceed; 0 of none. It sorts the values.
func Percentile(values []float64, percent float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max(0, int(math.Ceil(percent/100*float64(len(values))))-1)]
}

// report makes the report of a rush whose audit is in.
func (r *rush) report(audit *onsale.AuditReport) *Report {
	r.mu.Lock()
	notes := append([]string(nil), r.troubles...)
	r.mu.Unlock()
	verdict := Verdict{
		Oversold: audit.Oversold, LostOrders: audit.LostOrders, DoubleCharges: audit.DoubleCharges,
		Violations: r.ledger.withWitnesses(audit.Violations), Unchecked: audit.Unchecked,
	}
	report := &Report{
		Scenario: "rush",
		Params: map[string]any{
			"users": r.cfg.Users, "over_seconds": r.cfg.Over.Seconds(), "seed": r.cfg.Seed,
			"think_ms": r.cfg.Think.Milliseconds(), "profile": r.cfg.Profile.Name, "bots": r.cfg.Bots,
			"mix":      map[string]float64{string(asksPicked): r.cfg.Mix.Picked, string(asksBest): r.cfg.Mix.Best, string(asksGeneral): r.cfg.Mix.General},
			"event":    string(r.layout.Event.ID),
			"capacity": r.layout.Event.Capacity(), "hold_seconds": r.layout.Event.HoldSeconds,
			"target": r.cfg.Target, "feed": r.cfg.FeedTarget,
		},
		Machine: thisMachine(),
		Figures: r.figures(),
		Ratios:  r.ratios(),
		Audit:   verdict,
		Void:    r.void(),
		Notes:   notes,
	}
	if on, err := os.ReadFile(autogroup); err == nil {
		report.Params["autogroup"] = strings.TrimSpace(string(on))
	}
	report.Timelines = r.timelines()
	r.mu.Lock()
	report.Limit = r.strain.figures(report.Figures, runtime.NumCPU())
	r.mu.Unlock()
	report.OK = report.Err() == nil
	return report
}

// void says why the rush proves nothing, "" if it proves something: promises that nobody
// could ask for are easily kept.
func (r *rush) void() string {
	m := &r.m
	held, paying := m.held.Load(), m.paying.Load()
	switch {
	case held == 0 && r.leftover.Sale != onsale.SaleOpen:
		return fmt.Sprintf("nothing could be held: the sale is %s", r.leftover.Sale)
	case held == 0:
		return fmt.Sprintf("nothing could be held: %d requests were refused, %d never answered, and %d admissions are left",
			m.refused.Load(), m.silent.Load(), r.left())
	case paying > 0 && m.sold.Load()+m.declined.Load() == 0:
		return fmt.Sprintf("nothing could be bought: none of %d checkouts was paid or declined", paying)
	}
	return cmp.Or(generatorLimit(m.late.quantiles().P99, r.cfg.MostLate), r.overtaxed())
}

// left is how many admissions were available when the last buyer had left.
func (r *rush) left() (sum int64) {
	for _, s := range r.leftover.Sections {
		sum += s.Available
	}
	return sum
}

func (r *rush) figures() map[string]Figure {
	m := &r.m
	count := func(n int64, unit string) Figure { return Figure{float64(n), unit} }
	figures := map[string]Figure{
		"duration":         {round(r.stormed.Seconds()), "s"},
		"buyers":           count(m.arrived.Load(), unitBuyers),
		"left_empty":       count(m.emptied.Load(), unitBuyers),
		"left":             count(r.left(), unitPlaces),
		"requests":         count(m.requests.Load(), unitTimes),
		"request_rate":     {round(perSecond(r.requests, r.stormed)), unitRate},
		"busy":             count(m.busy.Load(), unitTimes),
		"errors":           count(m.errors.Load(), unitTimes),
		"unanswered":       count(m.silent.Load(), unitTimes),
		"refused":          count(m.refused.Load(), unitTimes),
		"held":             count(m.held.Load(), unitHolds),
		"released":         count(m.released.Load(), unitHolds),
		"expired":          count(m.expired.Load(), unitHolds),
		"expiry_unchecked": count(m.unseen.Load(), unitHolds),
		"accepted":         count(m.accepted.Load(), unitOrders),
		"sold":             count(m.sold.Load(), unitOrders),
		"sold_places":      count(m.admitted.Load(), unitPlaces),
		"declined":         count(m.declined.Load(), unitOrders),
		"rejected":         count(m.rejected.Load(), unitOrders),
		"refunded":         count(m.refunded.Load(), unitOrders),
		"unsettled":        count(m.overdue.Load(), unitOrders),
		"settled_by_get":   count(m.polled.Load(), unitOrders),
		"double_clicks":    count(m.doubled.Load(), unitTimes),
		"requests_cut":     count(m.cut.Load(), unitTimes),
		"bots":             count(m.bots.Load(), unitBuyers),
		"bot_held":         count(m.botHeld.Load(), unitHolds),
		"bot_refused":      count(m.botRefused.Load(), unitTimes),
		"bot_limited":      count(m.botLimited.Load(), unitTimes),
		"bot_throttled":    count(m.botThrottled.Load(), unitTimes),
		"feed_cut":         count(m.cutFeeds.Load(), unitFeeds),
		"feed_frames":      count(m.frames.Load(), "frames"),
		"feed_bytes":       count(m.feedBytes.Load(), unitBytes),
		"feed_resumes":     count(m.resumes.Load(), "gaps"),
		"feed_reopened":    count(m.reopened.Load(), unitFeeds),
		"feed_dropped":     count(m.dropped.Load(), unitFeeds),
		"feeds_checked":    count(m.feedsChecked.Load(), unitFeeds),
	}
	if r.undersold != nil {
		figures["undersold"] = count(*r.undersold, unitPlaces)
		figures["undersold_unchecked"] = count(r.ledger.unweighed, unitTimes)
	}
	if r.cfg.Aftermath {
		maps.Copy(figures, r.aftermath.figures())
	}
	r.stormFigures(figures)
	for _, s := range steps {
		q := s.latency(m).quantiles()
		if q.Count == 0 && r.cfg.Remote && s.byServer {
			continue // nothing is known, and 0 ms would say something
		}
		figures[s.name+"_p50"] = inMs(q.P50)
		figures[s.name+"_p95"] = inMs(q.P95)
		figures[s.name+"_p99"] = inMs(q.P99)
		figures[s.name+"_max"] = inMs(q.Max)
		figures[s.name+"_count"] = count(q.Count, "samples")
	}
	return figures
}

func (r *rush) ratios() map[string]float64 {
	m := &r.m
	accepted := m.accepted.Load()
	return map[string]float64{
		"sold_of_capacity": ratio(m.admitted.Load(), r.layout.Event.Capacity()),
		"refused_of_holds": ratio(m.refused.Load(), m.refused.Load()+m.held.Load()-m.botHeld.Load()), // of honest buyers'
		"errors":           ratio(m.errors.Load(), m.requests.Load()),
		"error_rate":       float64(m.errors.Load()) / float64(max(1, m.requests.Load())), // too small to be rounded
		"settled":          ratio(m.sold.Load()+m.declined.Load()+m.rejected.Load()+m.refunded.Load(), accepted),
		"settled_by_feed":  ratio(m.settle.quantiles().Count-m.polled.Load()-m.overdue.Load(), accepted),
		"feeds_checked":    ratio(m.feedsChecked.Load(), m.feedsToCheck.Load()),
	}
}

func inMs(d time.Duration) Figure {
	return Figure{round(float64(d) / float64(time.Millisecond)), unitMs}
}

// ratio is part of whole, and 0 of nothing.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return round(float64(part) / float64(whole))
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// round keeps three decimals: microseconds of a millisecond, which is what is measured.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }
