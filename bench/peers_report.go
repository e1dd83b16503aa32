package bench

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"onsale"
	"onsale/internal/contest"
)

// report counts what each has sold, and says what each has done: NAME_holds and NAME_refusals
// in 1/s, NAME_hold_p50 and so on in ms, NAME_hold_cpu and so on in µs an answer, and the
// ratios onsale_vs_NAME and onsale_vs_NAME_refusals.
func (r *peersRun) report(f contest.Figures) (*Report, error) {
	report := NewReport("peers", map[string]any{
		"rounds": r.cfg.Rounds, "seconds": r.cfg.Lasting.Seconds(), "connections": r.cfg.Connections, "buyers": len(r.house.tokens), "sellers": r.described(),
	})
	for _, s := range r.sellers {
		for _, of := range s.sales {
			found, err := s.check(of)
			if err != nil {
				return nil, err
			}
			report.Audit.Violations = append(report.Audit.Violations, found...)
		}
		s.figures(report, f)
	}
	report.Audit.Violations = append(report.Audit.Violations, r.own.violations...)
	for _, v := range report.Audit.Violations {
		if v.Subject == sellerOnsale && v.Invariant == onsale.InvariantClaims {
			report.Audit.Oversold++
		}
	}
	report.OK = report.Err() == nil
	report.Summary = r.summary(report)
	return report, nil
}

// described says who the sellers are.
func (r *peersRun) described() []map[string]any {
	var all []map[string]any
	for _, s := range r.sellers {
		of := map[string]any{"name": s.name, "is": s.is}
		if s.name != sellerNoop {
			of["repeats_keys"], of["limits_buyers"] = s.traits.Repeats, s.traits.Limits
		}
		all = append(all, of)
	}
	return all
}

// figures adds a seller's own.
func (s *seller) figures(to *Report, f contest.Figures) {
	set := func(name string, value float64, unit string) {
		to.Figures[s.name+"_"+name] = Figure{Value: value, Unit: unit}
	}
	set("holds", f.Median(s.name), unitRate)
	for kind, waits := range map[string]*latency{"hold": &s.holds, "refusal": &s.refusals} {
		if q := waits.quantiles(); q.Count > 0 {
			to.Figures[s.name+"_"+kind+"_p50"], to.Figures[s.name+"_"+kind+"_p99"] = inMs(q.P50), inMs(q.P99)
		}
	}
	s.cpu.report(to.Figures, s.name+"_")
	if s.name != sellerNoop {
		set("refusals", f.Median(refusalsOf(s.name)), unitRate)
		set("busy", float64(s.tally.busy), unitTimes)
	}
	if s.name != sellerOnsale {
		to.Ratios["onsale_vs_"+s.name] = f.Ratio(sellerOnsale, s.name)
	}
	if s.name != sellerOnsale && s.name != sellerNoop {
		to.Ratios["onsale_vs_"+refusalsOf(s.name)] = f.Ratio(refusalsOf(sellerOnsale), refusalsOf(s.name))
	}
}

// summary is a table: a line a seller.
func (r *peersRun) summary(report *Report) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tholds/s\tp50\tp99\tCPU µs: own\tRedis\tPostgres\tOnsale has\trefusals/s\tp50\tp99\tCPU µs: own\tRedis\tPostgres\tOnsale has\t")
	for _, s := range r.sellers {
		cell := func(name string) string {
			if figure, ok := report.Figures[s.name+"_"+name]; ok {
				return short(figure.Value)
			}
			return ""
		}
		times := func(ratio string) string {
			if value, ok := report.Ratios[ratio]; ok {
				return fmt.Sprintf("%.2f×", value)
			}
			return ""
		}
		cells := []string{s.name}
		for _, kind := range []string{"hold", "refusal"} {
			cells = append(cells, cell(kind+"s"), cell(kind+"_p50"), cell(kind+"_p99"), cell(kind+"_cpu"), cell(kind+"_redis_cpu"), cell(kind+"_postgres_cpu"))
			cells = append(cells, times(map[string]string{"hold": "onsale_vs_" + s.name, "refusal": "onsale_vs_" + refusalsOf(s.name)}[kind]))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
	}
	_ = t.Flush() // a strings.Builder takes everything
	b.WriteString("\nLatencies in ms, of a crowd that asks as fast as it is answered. CPU is of the seller and its stores, an answer.\n")
	for _, s := range r.sellers {
		fmt.Fprintf(&b, "%s: %s%s\n", s.name, s.is, s.missing())
	}
	return b.String()
}

// missing says what a seller leaves out, and so has the easier.
func (s *seller) missing() string {
	var lacks []string
	if !s.traits.Repeats {
		lacks = append(lacks, "gives another hold under the same key")
	}
	if !s.traits.Limits {
		lacks = append(lacks, "has no limit for a buyer")
	}
	if s.name == sellerNoop || len(lacks) == 0 {
		return ""
	}
	return " (" + strings.Join(lacks, "; ") + ")"
}
