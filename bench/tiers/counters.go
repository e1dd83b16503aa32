package tiers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onsale/bench"
)

// scrapeWithin bounds one look at a process's counters.
const scrapeWithin = 15 * time.Second

// What is counted, by each process of a tier for itself.
const (
	countRequests   = "requests"    // fronts: answered
	countSnapshots  = "snapshots"   // feeds: sent
	countDeltas     = "deltas"      // feeds: sent
	countFeedBytes  = "feed bytes"  // feeds: sent
	countCharges    = "charges"     // settlers: captured
	countTicketed   = "ticketed"    // settlers: orders
	countKafkaBytes = "kafka bytes" // Kafka: on disk
	countRedisBytes = "redis bytes" // shards: memory in use
)

// counts are what each process has counted, by what it is.
type counts map[string][]float64

// meters are the metrics that each count is the sum of, by the beginning of their lines.
var meters = []struct {
	count, prefix string
	of            func(*house) []*bench.Server
}{
	{countRequests, "onsale_http_requests_total{", func(h *house) []*bench.Server { return h.fronts }},
	{countSnapshots, `onsale_feed_frames_total{type="snapshot"}`, func(h *house) []*bench.Server { return h.feeds }},
	{countDeltas, `onsale_feed_frames_total{type="delta"}`, func(h *house) []*bench.Server { return h.feeds }},
	{countFeedBytes, "onsale_feed_sent_bytes_total", func(h *house) []*bench.Server { return h.feeds }},
	{countCharges, `onsale_charges_total{outcome="captured"}`, func(h *house) []*bench.Server { return h.settlers }},
	{countTicketed, `onsale_orders_total{state="ticketed"}`, func(h *house) []*bench.Server { return h.settlers }},
}

// counts reads what every process has counted so far.
func (h *house) counts(ctx context.Context) (counts, error) {
	all, said := counts{}, map[*bench.Server]map[string]float64{}
	for _, m := range meters {
		for _, s := range m.of(h) {
			if said[s] == nil {
				var err error
				if said[s], err = scrape(ctx, s); err != nil {
					return nil, err
				}
			}
			all[m.count] = append(all[m.count], said[s][m.count])
		}
	}
	size, err := sizeOf(filepath.Join(h.folder, "kafka"))
	if err != nil {
		return nil, err
	}
	all[countKafkaBytes] = []float64{size}
	for _, m := range h.shards.masters {
		used, err := m.used(ctx)
		if err != nil {
			return nil, err
		}
		all[countRedisBytes] = append(all[countRedisBytes], used)
	}
	return all, nil
}

// scrape reads the counts of one process.
func scrape(ctx context.Context, s *bench.Server) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read the counters: %w", err)
	}
	req.Close = true // so that no goroutine waits for more
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the counters: %w", err)
	}
	defer resp.Body.Close()
	sums := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		for _, m := range meters {
			if !strings.HasPrefix(lines.Text(), m.prefix) {
				continue
			}
			value := lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:]
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("read the counter %q: %w", lines.Text(), err)
			}
			sums[m.count] += n
		}
	}
	return sums, lines.Err()
}

// sizeOf is how many bytes the files in a folder have.
func sizeOf(folder string) (sum float64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			sum += float64(info.Size())
		}
		return ignoreGone(err)
	})
	if err != nil {
		return 0, fmt.Errorf("look how large %s is: %w", folder, err)
	}
	return sum, nil
}

// ignoreGone passes over what was removed while it was looked at.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// since is what was counted after an earlier look.
func (c counts) since(before counts) counts {
	more := counts{}
	for name, each := range c {
		for i, n := range each {
			more[name] = append(more[name], n-before[name][i])
		}
	}
	return more
}

func total(each []float64) (sum float64) {
	for _, n := range each {
		sum += n
	}
	return sum
}
