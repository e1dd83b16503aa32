package bench

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Table writes the report for a person: how many and how long, what became of them,
// and what the audit says.
func (r *Report) Table(w io.Writer) error {
	if r.Scenario != "rush" {
		return r.plainTable(w)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %v buyers over %vs on event %v: %s requests in %vs, %s a second\n\n", r.Scenario,
		r.Params["users"], r.Params["over_seconds"], r.Params["event"],
		r.count("requests"), r.Figures["duration"].Value, r.count("request_rate"))

	rows := "\tcount\tp50\tp95\tp99\tmax\t\n"
	for _, s := range steps {
		if r.Figures[s.name+"_count"].Value == 0 && s.rare {
			continue
		}
		rows += strings.Join([]string{s.label, r.count(s.name + "_count"),
			r.ms(s.name + "_p50"), r.ms(s.name + "_p95"), r.ms(s.name + "_p99"), r.ms(s.name + "_max")}, "\t") + "\t\n"
	}
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	if _, err := io.WriteString(t, rows); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}

	fmt.Fprintf(&b, "\nheld %s   sold %s (%s admissions, %.0f %% of the house)   declined %s   refused %s   expired %s   errors %s\n",
		r.count("held"), r.count("sold"), r.count("sold_places"), 100*r.Ratios["sold_of_capacity"],
		r.count("declined"), r.count("refused"), r.count("expired"), r.count("errors"))
	fmt.Fprintf(&b, "left %s admissions (%s buyers went away with nothing)   busy answers %s   unanswered %s requests   unsettled %s orders\n",
		r.count("left"), r.count("left_empty"), r.count("busy"), r.count("unanswered"), r.count("unsettled"))
	if r.Figures["bots"].Value > 0 {
		fmt.Fprintf(&b, "bots %s: held %s   refused: %s for want of stock, %s beyond a buyer's limit, %s too often\n",
			r.count("bots"), r.count("bot_held"), r.count("bot_refused"), r.count("bot_limited"), r.count("bot_throttled"))
	}
	undersold := "not checked"
	if _, known := r.Figures["undersold"]; known {
		undersold = r.count("undersold")
	}
	fmt.Fprintf(&b, "oversold %d   undersold %s   lost %d   double charges %d   feeds compared %s (%.0f %%)\n",
		r.Audit.Oversold, undersold, r.Audit.LostOrders, r.Audit.DoubleCharges, r.count("feeds_checked"), 100*r.Ratios["feeds_checked"])
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "  error: %s\n", note)
	}
	r.verdict(&b, w)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// plainTable writes the summary, or the figures and the ratios as they are.
func (r *Report) plainTable(w io.Writer) error {
	if r.Summary != "" {
		var b strings.Builder
		b.WriteString(r.Summary + "\n")
		r.verdict(&b, w)
		if _, err := io.WriteString(w, b.String()); err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(t, "%s\t%s %s\n", name, short(r.Figures[name].Value), r.Figures[name].Unit)
	}
	fmt.Fprintln(t)
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		fmt.Fprintf(t, "%s\t%.2f\n", name, r.Ratios[name])
	}
	var b strings.Builder
	for _, note := range r.Notes {
		fmt.Fprintln(&b, note)
	}
	r.verdict(&b, w)
	_, err := t.Write([]byte("\n" + b.String()))
	if err = errors.Join(err, t.Flush()); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// verdict writes what was not checked, and what came of what was; on a terminal in red if
// all is not well.
func (r *Report) verdict(b *strings.Builder, to io.Writer) {
	alarm := func(text string) string { return text }
	if isTerminal(to) {
		alarm = newScreen(to).alarm
	}
	for _, a := range r.Aims {
		if !a.Met {
			fmt.Fprintf(b, "an aim is not met: %s is %s, and %s is the most\n", a.Name, short(a.Value), short(a.Most))
		}
	}
	if r.Limit != "" {
		fmt.Fprintln(b, r.Limit)
	}
	kept, unchecked := r.Kept()
	for _, line := range unchecked {
		fmt.Fprintf(b, "not checked: %s\n", line)
	}
	switch {
	case r.OK:
		fmt.Fprintln(b, kept)
		return
	case errors.Is(r.Err(), ErrVoid):
		fmt.Fprintln(b, alarm("VOID: "+r.Void))
		return
	}
	fmt.Fprintln(b, alarm(fmt.Sprintf("BROKEN promises: %d", len(r.Audit.Violations))))
	for _, v := range r.Audit.Violations {
		fmt.Fprintf(b, "  invariant %d: %s %s\n", v.Invariant, v.Subject, v.Detail)
		for _, line := range v.History {
			fmt.Fprintf(b, "      %s\n", line)
		}
	}
}

// short is four digits of a number, and all that stand before its point.
func short(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return fmt.Sprintf("%.4g", v)
}

// count is a figure as a whole number in groups of three.
func (r *Report) count(name string) string { return grouped(int64(r.Figures[name].Value)) }

// grouped is a number of at least 0 in groups of three digits.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// ms is a figure in milliseconds, for people.
func (r *Report) ms(name string) string {
	return millis(time.Duration(r.Figures[name].Value * float64(time.Millisecond)))
}

// millis is a duration in milliseconds, with a decimal where it matters.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 100 {
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
}
