package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"onsale"
	"onsale/checkout/payment"
	"onsale/holds"
)

// unchecked are the invariants that a report says it did not check, each once, as "1 6 7".
func unchecked(r *onsale.AuditReport) string {
	seen := map[onsale.Invariant]bool{}
	for _, u := range r.Unchecked {
		seen[u.Invariant] = true
	}
	var text []string
	for v := onsale.InvariantCounts; v <= onsale.InvariantFeed; v++ {
		if seen[v] {
			text = append(text, fmt.Sprint(v))
		}
	}
	return strings.Join(text, " ")
}

// elsewhere is an auditor who looks for the stock where nobody lays it, and the desk
// with which to lay it there.
func (h *house) elsewhere() (*Auditor, *holds.Desk, *onsale.Layout) {
	h.t.Helper()
	desk := holds.NewDesk(holds.Config{Client: h.redis, Namespace: h.prefix + ":elsewhere", Secret: []byte(testSecret)})
	a := *h.shop.Auditor
	a.Desk, a.Mirrors = desk, nil
	l, err := a.Store.Layout(h.t.Context(), "concert")
	check(h.t, err)
	return &a, desk, l
}

func TestAnAuditWithoutStockDoesntSayThatAllIsWellKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, desk, l := h.elsewhere()
	const epoch = 7
	for _, state := range []struct {
		name, says string
		bring      func() error
	}{
		{"absent", "no stock", func() error { return nil }},
		{"recovering", "being laid anew", func() error { return desk.BeginRebuild(t.Context(), l, epoch) }},
		{"of an earlier run", "earlier run", func() error {
			if err := desk.FinishRebuild(t.Context(), l, epoch, onsale.SaleOpen, nil); err != nil {
				return err
			}
			key := h.prefix + ":elsewhere:{concert}:meta"
			return h.redis.Do(t.Context(), h.redis.B().Hset().Key(key).FieldValue().FieldValue("run", "another").Build()).Error()
		}},
	} {
		check(t, state.bring())
		report, err := a.Audit(t.Context(), "concert", 0)
		check(t, err)
		if unchecked(report) != "1 4 6 7" || !strings.Contains(report.Unchecked[0].Reason, state.says) || !report.OK() {
			t.Errorf("stock that is %s: unchecked %v: %v", state.name, report.Unchecked, report.Err())
		}
		if report, err := a.Audit(t.Context(), "concert", time.Millisecond); onsale.CodeOf(err) != onsale.CodeRecovering || !strings.Contains(err.Error(), state.says) {
			t.Errorf("stock that is %s, waited for: %+v, %v", state.name, report, err)
		}
	}
}

func TestAnAuditWaitsForStockThatIsBeingLaidKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, desk, l := h.elsewhere()
	check(t, desk.BeginRebuild(t.Context(), l, 7))
	patient := &patience{Provider: a.Provider, asked: make(chan struct{}, 1)}
	a.Provider = patient
	type answer struct {
		report *onsale.AuditReport
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		report, err := a.Audit(t.Context(), "concert", time.Minute)
		answered <- answer{report, err}
	}()
	<-patient.asked // it has looked, and in vain
	check(t, desk.FinishRebuild(t.Context(), l, 7, onsale.SaleOpen, nil))
	got := <-answered
	check(t, got.err)
	if unchecked(got.report) != "7" || !got.report.OK() {
		t.Errorf("unchecked %v: %v", got.report.Unchecked, got.report.Err())
	}
}

// patience is a provider that can't tell its ledger for the first time.
type patience struct {
	payment.Provider
	asked chan struct{} // gets a token with the first question
	told  bool
}

func (p *patience) Ledger(ctx context.Context, event onsale.EventID) ([]onsale.LedgerEntry, error) {
	if !p.told {
		p.told = true
		p.asked <- struct{}{}
		return nil, errors.New("not now")
	}
	return p.Provider.Ledger(ctx, event)
}

func TestAnAuditWaitsForTheSaleToBeToldToRedisKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.shop.Store.SetSale(t.Context(), "concert", onsale.SalePaused); err != nil {
		t.Fatal(err)
	}
	report, err := h.shop.Auditor.Audit(t.Context(), "concert", time.Minute)
	check(t, err)
	if !report.OK() {
		t.Error(report.Err())
	}
	a, desk, l := h.elsewhere() // where nobody aligns it
	check(t, desk.BeginRebuild(t.Context(), l, 7))
	check(t, desk.FinishRebuild(t.Context(), l, 7, onsale.SaleOpen, nil))
	report, err = a.Audit(t.Context(), "concert", time.Millisecond)
	check(t, err)
	if len(report.Violations) != 1 || !strings.Contains(report.Err().Error(), "its sale is open in Redis, and paused in Postgres") {
		t.Errorf("open in Redis alone: %v", report.Err())
	}
}

func TestAnAuditFollowsTheFeedKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	h.buy(buyer, h.mustHold(buyer, `{"section":"stand","seats":["A-1","A-2"]}`), "tok_ok")
	if report := h.audit(); len(report.Unchecked) > 0 {
		t.Errorf("unchecked: %v", report.Unchecked)
	}

	// A delta that Redis never made reaches the mirror before the one that Redis does.
	l, err := h.shop.Catalog.Layout(t.Context(), "concert")
	check(t, err)
	stock, err := h.shop.Desk.Stock(t.Context(), l)
	check(t, err)
	forged := fmt.Sprintf(`{"e":%d,"q":%d,"t":%d,"s":"open","n":0,"c":{"0":[1,9,0,0]}}`, stock.Epoch, stock.Seq+1, stock.At.UnixMilli())
	check(t, h.redis.Do(t.Context(), h.redis.B().Spublish().Channel(h.prefix+":{concert}:feed").Message(forged).Build()).Error())
	h.eventually("the mirror believes it", func() (believed bool) {
		h.shop.Mirrors.View(l, func(s *onsale.Stock) { believed = s.Seq == stock.Seq+1 })
		return believed
	})
	h.mustHold(buyer, `{"section":"floor","quantity":1}`)
	report, err := h.shop.Auditor.Audit(t.Context(), "concert", 0)
	check(t, err)
	if len(report.Violations) != 1 || report.Violations[0].Invariant != onsale.InvariantFeed || report.Violations[0].Subject != "feed of concert, section floor" {
		t.Errorf("a feed that is wrong: %v, unchecked %v", report.Err(), report.Unchecked)
	}
}

func TestATapeGivesTheFeedOfAnyMomentItHas(t *testing.T) {
	e := &onsale.Event{ID: "concert", Name: "Concert", StartsAt: time.Now(), Currency: "EUR",
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Capacity: 100}}}
	check(t, e.Complete())
	l := onsale.NewLayout(e)
	at := func(epoch onsale.Epoch, seq uint64) *onsale.Stock {
		return &onsale.Stock{Event: e.ID, Epoch: epoch, Seq: seq, Sale: onsale.SaleOpen, Counts: []onsale.Counts{{Held: int64(seq)}}, Seats: []byte{}}
	}
	reset := at(2, 3)
	told := &onsale.Delta{Epoch: 2, Sale: onsale.SaleOpen, Counts: map[int]onsale.Counts{}}
	record := func(to uint64) *tape {
		tp := &tape{heard: make(chan struct{}, 1)}
		tp.Reset(reset)
		for told.Seq = 4; told.Seq <= to; told.Seq++ { // a listener keeps nothing that it is given
			told.Counts[0] = onsale.Counts{Held: int64(told.Seq)}
			tp.Delta(told)
		}
		return tp
	}
	synctest.Test(t, func(t *testing.T) {
		rewound := record(6)
		rewound.rewind()
		full := record(4 + tapeLength)
		for name, c := range map[string]struct {
			tape *tape
			view *onsale.Stock
			want uint64 // the number of the feed that is handed in
			why  string
		}{
			"as it began":           {record(9), at(2, 3), 3, ""},
			"on the way":            {record(9), at(2, 5), 5, ""},
			"as it is":              {record(9), at(2, 9), 9, ""},
			"not yet":               {record(9), at(2, 10), 9, ""},
			"in an epoch to come":   {record(9), at(3, 1), 3, ""},
			"before it was rewound": {rewound, at(2, 5), 0, "faster"},
			"when it was rewound":   {rewound, at(2, 6), 6, ""},
			"before it was full":    {full, at(2, 5), 0, "faster"},
			"in an earlier epoch":   {record(9), at(1, 50), 0, "faster"},
			"when nothing is known": {&tape{heard: make(chan struct{}, 1)}, at(2, 5), 0, ""},
			"without mirrors":       {nil, at(2, 5), 0, "no feed"},
		} {
			feed, why := c.tape.brought(t.Context(), l, c.view)
			if (feed == nil) != (c.why != "") || !strings.Contains(why, c.why) {
				t.Errorf("%s: %+v, %q", name, feed, why)
			}
			if feed != nil && (feed.Seq != c.want || len(feed.Sections) > 0 && feed.Sections[0].Held != int64(c.want)) {
				t.Errorf("%s: %+v, want %d", name, feed, c.want)
			}
		}
		late := record(4)
		go late.Delta(&onsale.Delta{Epoch: 2, Seq: 5, Counts: map[int]onsale.Counts{0: {Held: 5}}})
		if feed, _ := late.brought(t.Context(), l, at(2, 5)); feed.Seq != 5 {
			t.Errorf("what comes in time: %+v", feed)
		}
	})
}

func TestAnEventThatOwesIsNotAtRest(t *testing.T) {
	for name, view := range map[string]onsale.HoldsView{
		"pinned": {Stock: onsale.Stock{Counts: []onsale.Counts{{}, {Pinned: 1}}}},
		"owed":   {Holds: []onsale.HeldRecord{{}, {Owed: true}}},
	} {
		if !underWay(&view) {
			t.Errorf("what is %s is under way", name)
		}
	}
	if underWay(&onsale.HoldsView{Stock: onsale.Stock{Counts: []onsale.Counts{{Held: 1, Sold: 1}}}, Holds: []onsale.HeldRecord{{}}}) {
		t.Error("what is held or sold is at rest")
	}
}
