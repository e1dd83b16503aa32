package holds

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"onsale"
)

const (
	// inspectLittle is how many holds and buyers are read in one call with the stock.
	inspectLittle = 150
	// inspectPage is about how many holds, or buyers, a call reads when there are more.
	inspectPage = 150
	// inspectEntries is about how many entries of the expiry index a call reads: one may
	// stand for all that a full batch was granted.
	inspectEntries = 50
)

// inspection reads one event, in calls of well below a millisecond of Redis's time.
type inspection struct {
	desk   *Desk
	layout *onsale.Layout
	keys   keys
}

// begin reads the stock and, if there is little to read, all the rest in the same step.
func (in inspection) begin(ctx context.Context) (stock *onsale.Stock, whole *found, err error) {
	args := []string{strconv.Itoa(len(in.layout.Sections())), strconv.Itoa(inspectLittle)}
	reply, err := inspectScript.run(ctx, in.desk.cfg.Client, in.keys, args).ToArray()
	if err != nil {
		return nil, nil, err
	}
	const little, much = 5, 1
	if len(reply) != little && len(reply) != much {
		return nil, nil, fmt.Errorf("%d parts, want %d or %d", len(reply), little, much)
	}
	head, err := reply[0].ToArray()
	if err != nil {
		return nil, nil, err
	}
	if stock, err = decodeStock(in.layout, head); err != nil || len(reply) == much {
		return stock, nil, err
	}
	var parts [little - 1]map[string]string // holds, due, buyers, pins
	for i := range parts {
		if parts[i], err = pairsOf(&reply[i+1]); err != nil {
			return nil, nil, err
		}
	}
	whole = newFound()
	for id, record := range parts[0] {
		whole.holds[id] = foundHold{record: record, due: parts[1][id], pinned: parts[3][id]}
	}
	for entry, due := range parts[1] {
		whole.addTogether(entry, due)
	}
	whole.buyers = parts[2]
	return stock, whole, nil
}

func newFound() *found {
	return &found{holds: map[string]foundHold{}, together: map[string]string{}, buyers: map[string]string{}}
}

// addTogether takes over an entry of the expiry index that stands for many.
func (f *found) addTogether(entry, due string) {
	if strings.Contains(entry, " ") {
		for id := range strings.SplitSeq(entry, " ") {
			f.together[id] = due
		}
	}
}

// pairsOf reads a flat list of keys and values.
func pairsOf(m *rueidis.RedisMessage) (map[string]string, error) {
	flat, err := m.AsStrSlice()
	if err != nil {
		return nil, err
	}
	pairs := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		pairs[flat[i]] = flat[i+1]
	}
	return pairs, nil
}

// pass reads everything in pages, the holds first, and then the stock. What changes
// meanwhile may be seen as it was or as it is; what doesn't is seen.
func (in inspection) pass(ctx context.Context) (*found, *onsale.Stock, error) {
	f := newFound()
	for cursor := "0"; ; {
		var err error
		if cursor, err = in.page(ctx, cursor, f.holds); err != nil {
			return nil, nil, err
		}
		if cursor == "0" {
			break
		}
	}
	c := in.desk.cfg.Client
	due, buyers := in.keys.all[2], in.keys.all[3]
	err := scan(func(cursor uint64) rueidis.RedisResult {
		return c.Do(ctx, c.B().Zscan().Key(due).Cursor(cursor).Count(inspectEntries).Build())
	}, f.addTogether)
	if err != nil {
		return nil, nil, err
	}
	err = scan(func(cursor uint64) rueidis.RedisResult {
		return c.Do(ctx, c.B().Hscan().Key(buyers).Cursor(cursor).Count(inspectPage).Build())
	}, func(buyer, text string) { f.buyers[buyer] = text })
	if err != nil {
		return nil, nil, err
	}
	stock, err := in.desk.master.stock(ctx, in.layout, in.keys)
	return f, stock, err
}

// page reads some holds, from a cursor on, and returns the next cursor: "0" after the last.
func (in inspection) page(ctx context.Context, cursor string, into map[string]foundHold) (next string, err error) {
	reply, err := pageScript.run(ctx, in.desk.cfg.Client, in.keys, []string{cursor, strconv.Itoa(inspectPage)}).AsStrSlice()
	if err != nil {
		return "", err
	}
	const words = 4 // id, record, due, pinned
	if len(reply)%words != 1 {
		return "", fmt.Errorf("a page has %d words", len(reply))
	}
	for at := 1; at < len(reply); at += words {
		into[reply[at]] = foundHold{record: reply[at+1], due: reply[at+2], pinned: reply[at+3]}
	}
	return reply[0], nil
}

// scan goes through a hash or a sorted set.
func scan(page func(cursor uint64) rueidis.RedisResult, each func(key, value string)) error {
	for cursor := uint64(0); ; {
		entry, err := page(cursor).AsScanEntry()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(entry.Elements); i += 2 {
			each(entry.Elements[i], entry.Elements[i+1])
		}
		if cursor = entry.Cursor; cursor == 0 {
			return nil
		}
	}
}
