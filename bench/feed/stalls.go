package feed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// stallsMetric counts the connections that a process could not write all to at once.
	stallsMetric = "onsale_feed_slow_writes_total"
	// stallWithin is how long it may take until those who have stopped reading have stalled:
	// less than the feed waits for them before it closes them.
	stallWithin = 8 * time.Second
	stallLook   = 50 * time.Millisecond
)

// stalls is how often a connection of the feed has stalled so far.
func (f *fleet) stalls(ctx context.Context) (sum float64, err error) {
	for _, url := range f.each() {
		n, err := readMetric(ctx, url, stallsMetric)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// untilStalls waits until there were so many stalls, and returns how many there were: fewer
// if it takes too long. A run that stalls nobody would find that stalling has no effect.
func (f *fleet) untilStalls(ctx context.Context, want float64) (have float64, err error) {
	for deadline := time.Now().Add(stallWithin); ; {
		if have, err = f.stalls(ctx); err != nil || have >= want || time.Now().After(deadline) {
			return have, err
		}
		if err := pause(ctx, stallLook); err != nil {
			return have, err
		}
	}
}

func readMetric(ctx context.Context, url, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(answer.Body, 1<<20)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s at %s", name, url)
}
