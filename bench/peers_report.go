package bench

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"onsale"
	"onsale/internal/contest"
)

// report counts what each has sold, and says what each has done: NAME_holds and NAME_refusals
// in 1/s, NAME_hold_p50 and so on in ms, NAME_hold_cpu and so on in µs an answer, and the ratios
// onsale_vs_NAME and onsale_vs_NAME_refusals of what is done in a second, and cpu_of_NAME of what a
// hold costs there over what it costs Onsale, which says the same on a machine that has other work too.
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
		if spent := s.cpu.ratio("hold_total_cpu", r.sellers[0].cpu); s.name != sellerOnsale && spent > 0 {
			report.Ratios["cpu_of_"+s.name] = spent
		}
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
	s.cpu.report(to, s.name+"_")
	if s.name != sellerNoop {
		set("refusals", f.Median(refusalsOf(s.name)), unitRate)
		set("busy", float64(s.answers.busy), unitTimes)
	}
	if s.name != sellerOnsale {
		to.Ratios["onsale_vs_"+s.name] = f.Ratio(sellerOnsale, s.name)
	}
	if s.name != sellerOnsale && s.name != sellerNoop {
		to.Ratios["onsale_vs_"+refusalsOf(s.name)] = f.Ratio(refusalsOf(sellerOnsale), refusalsOf(s.name))
	}
}

// summary is two tables: a line a seller.
func (r *peersRun) summary(report *Report) string {
	var b strings.Builder
	for _, kind := range []string{"hold", "refusal"} {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "%ss\ta second\tp50 ms\tp99 ms\tCPU µs\tin Redis\tin Postgres\tin the client\tOnsale has\tCPU of Onsale's\t\n", kind)
		for _, s := range r.sellers {
			cells := []string{s.name}
			for _, name := range []string{"s", "_p50", "_p99", "_total_cpu", "_redis_cpu", "_postgres_cpu", "_client_cpu"} {
				cell := ""
				if figure, ok := report.Figures[s.name+"_"+kind+name]; ok {
					cell = short(figure.Value)
				}
				cells = append(cells, cell)
			}
			versus := map[string][]string{"hold": {"onsale_vs_" + s.name, "cpu_of_" + s.name}, "refusal": {"onsale_vs_" + refusalsOf(s.name)}}
			for _, name := range versus[kind] {
				cell := ""
				if ratio, ok := report.Ratios[name]; ok {
					cell = fmt.Sprintf("%.2f×", ratio)
				}
				cells = append(cells, cell)
			}
			fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
		}
		_ = t.Flush() // a strings.Builder takes everything
		b.WriteString("\n")
	}
	b.WriteString("The crowd asks as fast as it is answered: its latencies are those of a queue. CPU is of the seller with its stores, an answer.\n")
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
