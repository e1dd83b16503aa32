package bench

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"onsale"
)

// screen shows a rush on a terminal: a picture of a few lines, which is drawn over the one
// before. Its methods are called by one goroutine at a time.
type screen struct {
	w       io.Writer
	colours bool
	drawn   int      // lines of the picture that stands there
	phase   Phase    // of the picture before
	since   Progress // what rates are counted from
	rates   rates
}

// rates are how many a second came in the last second or so.
type rates struct{ requests, held, accepted, refused, sold float64 }

const (
	// ratesOver is the least time that a rate is taken over.
	ratesOver = time.Second
	// barCells is how wide a bar is.
	barCells = 28
)

// The codes of a terminal (ECMA-48).
const (
	styleOff   = "\x1b[0m"
	styleFaint = "\x1b[2m"
	styleBold  = "\x1b[1m"
	styleRed   = "\x1b[1;31m"
	styleGreen = "\x1b[32m"
	eraseDown  = "\x1b[J"
	wrapOff    = "\x1b[?7l" // a line that is too long is cut, so that the picture keeps its height
	wrapOn     = "\x1b[?7h"
)

// newScreen returns a screen on a terminal. Colours are left away if NO_COLOR is set (no-color.org).
func newScreen(w io.Writer) *screen {
	return &screen{w: w, colours: os.Getenv("NO_COLOR") == ""}
}

// show draws the picture of a moment.
func (s *screen) show(p Progress) {
	if span := p.Elapsed - s.since.Elapsed; p.Phase != s.phase && p.Phase == PhaseStorm || span < 0 {
		s.since, s.rates = p, rates{}
	} else if span >= ratesOver {
		s.rates = rates{
			requests: perSecond(p.Requests-s.since.Requests, span), held: perSecond(p.Held-s.since.Held, span),
			accepted: perSecond(p.Accepted-s.since.Accepted, span), refused: perSecond(p.Refused-s.since.Refused, span),
			sold: perSecond(p.Sold-s.since.Sold, span),
		}
		s.since = p
	}
	s.phase = p.Phase
	lines := s.picture(p)
	up := ""
	if s.drawn > 0 {
		up = fmt.Sprintf("\x1b[%dA\r", s.drawn)
	}
	s.drawn = len(lines)
	// What can't be written to a terminal is no reason to end a rush.
	_, _ = io.WriteString(s.w, wrapOff+up+eraseDown+strings.Join(lines, "\n")+"\n"+wrapOn)
}

// picture is the lines that say how it goes.
func (s *screen) picture(p Progress) []string {
	line := func(label, text string) string { return s.style(styleFaint, fmt.Sprintf("%10s  ", label)) + text }
	lines := []string{
		line(string(p.Phase), s.style(styleBold, fmt.Sprintf("%6.1f s  ", p.Elapsed.Seconds()))+
			bar(float64(p.Arrived), float64(p.Users))+fmt.Sprintf("  %s of %s have come, %s are there, %s feeds", grouped(p.Arrived), grouped(int64(p.Users)), grouped(p.Active), grouped(p.Feeds))),
		line("answers", fmt.Sprintf("%s requests/s   held %s (%.0f/s)   accepted %s (%.0f/s)   refused %s (%.0f/s)", grouped(int64(s.rates.requests)),
			grouped(p.Held), s.rates.held, grouped(p.Accepted), s.rates.accepted, grouped(p.Refused), s.rates.refused)),
		line("hold", percentiles(p.Hold)),
		line("check out", percentiles(p.Checkout)),
		line("feed", "behind by "+percentiles(p.Staleness)),
		line("stock", s.stockLine(p.Stock)),
		line("orders", fmt.Sprintf("sold %s (%.0f/s)   declined %s", grouped(p.Sold), s.rates.sold, grouped(p.Declined))),
		line("errors", s.errorsLine(p)),
	}
	if len(p.Usage) > 0 {
		var parts []string
		for _, kind := range slices.Sorted(maps.Keys(p.Usage)) {
			u := p.Usage[kind]
			parts = append(parts, fmt.Sprintf("%s %.0f %% %d MB", kind, 100*u.Cores, u.Memory>>20))
		}
		lines = append(lines, line("CPU", strings.Join(parts, "   ")))
	}
	if p.Late.P99 > generatorLate {
		lines = append(lines, line("late", s.style(styleRed, fmt.Sprintf("the bench itself is behind its schedule: p99 %s", millis(p.Late.P99)))))
	}
	return lines
}

// generatorLate is from when on a bench that is behind its schedule is said to be, while it runs.
const generatorLate = 100 * time.Millisecond

func (s *screen) stockLine(c onsale.Counts) string {
	if c.Total() == 0 {
		return "not seen yet"
	}
	return fmt.Sprintf("%s  available %s   held %s   pinned %s   sold %s", bar(float64(c.Total()-c.Available), float64(c.Total())),
		grouped(c.Available), grouped(c.Held), grouped(c.Pinned), grouped(c.Sold))
}

// errorsLine is what no buyer should see, and what they were refused for.
func (s *screen) errorsLine(p Progress) string {
	text := s.style(styleGreen, "none")
	if p.Errors > 0 {
		text = s.style(styleRed, grouped(p.Errors))
	}
	if p.Broken > 0 {
		text += s.style(styleRed, fmt.Sprintf("   BROKEN promises: %d", p.Broken))
	}
	for _, code := range slices.Sorted(maps.Keys(p.Codes)) {
		text += fmt.Sprintf("   %s %s", code, grouped(p.Codes[code]))
	}
	return text
}

func percentiles(q Quantiles) string {
	return fmt.Sprintf("p50 %s   p95 %s   p99 %s   max %s", millis(q.P50), millis(q.P95), millis(q.P99), millis(q.Max))
}

// bar shows a part of a whole.
func bar(part, whole float64) string {
	full := 0
	if whole > 0 {
		full = min(max(int(part/whole*barCells), 0), barCells)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
}

func (s *screen) style(style, text string) string {
	if !s.colours {
		return text
	}
	return style + text + styleOff
}

// alarm is a text that must not be overlooked.
func (s *screen) alarm(text string) string { return s.style(styleRed, text) }
