package bench

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onsale"
)

func TestRushSellsTheHouseAndFindsThatEveryPromiseWasKept(t *testing.T) {
	f := newFake(t, breakage{})
	var mu sync.Mutex
	var phases []Phase
	cfg := quick(f, 60)
	cfg.Progress = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(phases, p.Phase) {
			phases = append(phases, p.Phase)
		}
	}
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	figure := func(name string) float64 {
		t.Helper()
		v, ok := report.Figures[name]
		if !ok {
			t.Fatalf("the report has no figure %q", name)
		}
		return v.Value
	}
	if !report.OK || len(report.Audit.Violations) > 0 {
		t.Errorf("a server that keeps its promises was found to break some: %+v", report.Audit)
	}
	if figure("errors") != 0 {
		t.Errorf("%v errors: %v", figure("errors"), report.Notes)
	}
	if figure("buyers") != 60 || figure("held") == 0 || figure("sold") == 0 || figure("declined") == 0 {
		t.Errorf("not everybody came, or nothing was sold or declined: %+v", report.Figures)
	}
	if figure("accepted") != figure("sold")+figure("declined") {
		t.Errorf("%v orders were accepted, %v sold and %v declined", figure("accepted"), figure("sold"), figure("declined"))
	}
	if got, want := figure("hold_count"), figure("held")+figure("refused")+figure("double_clicks"); got != want {
		t.Errorf("%v holds were timed, %v answered", got, want)
	}
	if report.Ratios["feeds_checked"] != 1 || figure("feeds_checked") != 61 {
		t.Errorf("not every feed was compared: %v of 61", figure("feeds_checked"))
	}
	if f.event.Sale != onsale.SaleClosed {
		t.Errorf("the event of the rush is %s after it", f.event.Sale)
	}
	if phases[0] != PhasePreparing || phases[len(phases)-1] != PhaseDone {
		t.Errorf("the phases told were %v", phases)
	}
}

func TestEveryBrokenPromiseIsFoundOut(t *testing.T) {
	told := onsale.Violation{Invariant: onsale.InvariantCharges, Subject: "ord_x", Detail: "charged twice"}
	for name, test := range map[string]struct {
		breaks    breakage
		invariant onsale.Invariant
	}{
		"a seat is sold to two":               {breakage{sellsSeatsTwice: true}, onsale.InvariantClaims},
		"more is sold than there is":          {breakage{sellsBeyondCapacity: true}, onsale.InvariantClaims},
		"an accepted order is forgotten":      {breakage{forgetsOrders: true}, onsale.InvariantOrders},
		"an accepted order comes to no end":   {breakage{neverSettles: true}, onsale.InvariantOrders},
		"a buyer is told another end":         {breakage{tellsLies: true}, onsale.InvariantOrders},
		"one key makes two holds":             {breakage{holdsAnewPerRequest: true}, onsale.InvariantKeys},
		"two admissions have the same ticket": {breakage{repeatsTickets: true}, onsale.InvariantKeys},
		"a hold is not what was asked for":    {breakage{grantsOtherSeats: true}, onsale.InvariantHolds},
		"a hold outlives its deadline":        {breakage{neverExpires: true}, onsale.InvariantHolds},
		"a hold ends before its deadline":     {breakage{endsHoldsEarly: true}, onsale.InvariantHolds},
		"a hold is said to have ended early":  {breakage{deniesHolds: true}, onsale.InvariantHolds},
		"the best available are apart":        {breakage{partsTheBest: true}, onsale.InvariantHolds},
		"what is there is refused":            {breakage{refusesWhatIsLeft: true}, onsale.InvariantCounts},
		"a client is shown too many":          {breakage{showsTooMany: true}, onsale.InvariantCounts},
		"a client is shown fewer than none":   {breakage{showsFewerThanNone: true}, onsale.InvariantCounts},
		"a feed goes back":                    {breakage{goesBack: true}, onsale.InvariantFeed},
		"a feed misses a change":              {breakage{missesChange: true}, onsale.InvariantFeed},
		"a feed is stuck":                     {breakage{stallsFeed: true}, onsale.InvariantFeed},
		"a feed sends nonsense":               {breakage{sendsNonsense: true}, onsale.InvariantFeed},
		"the audit finds something":           {breakage{audit: []onsale.Violation{told}}, onsale.InvariantCharges},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick(newFake(t, test.breaks), 60)
			if test.breaks.neverSettles || test.breaks.forgetsOrders {
				cfg.ResultTimeout = time.Second
			}
			if test.breaks.sellsBeyondCapacity || test.breaks.sellsSeatsTwice {
				cfg.Create = house(60, time.Minute)
			}
			if test.breaks.endsHoldsEarly || test.breaks.refusesWhatIsLeft {
				cfg.Create = house(600, 20*time.Second)
			}
			if test.breaks.neverExpires {
				cfg.Create, cfg.ExpiryWait = house(600, time.Second), 5*time.Second
			}
			report, err := Rush(t.Context(), cfg)
			var broken *onsale.AuditError
			if !errors.As(err, &broken) || report == nil || report.OK {
				t.Fatalf("not found out: %v, %+v", err, report)
			}
			for _, v := range report.Audit.Violations {
				if v.Invariant == test.invariant {
					return
				}
			}
			t.Errorf("no violation of invariant %d in\n%v", test.invariant, err)
		})
	}
}

func TestRushThatCouldBuyNothingIsVoid(t *testing.T) {
	for name, test := range map[string]struct {
		breaks breakage
		sale   onsale.Sale
		says   string
	}{
		"since the sale is paused":         {breakage{}, onsale.SalePaused, "paused"},
		"since nobody's payment was taken": {breakage{refusesPayment: true}, onsale.SaleOpen, "checkouts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, test.breaks)
			event := house(60, time.Minute)
			event.Sale = test.sale
			if err := event.Complete(); err != nil {
				t.Fatal(err)
			}
			f.stage(event)
			cfg := quick(f, 20)
			cfg.Event = event.ID
			report, err := Rush(t.Context(), cfg)
			var broken *onsale.AuditError
			if !errors.Is(err, ErrVoid) || errors.As(err, &broken) || report == nil || report.OK {
				t.Fatalf("%v, %+v", err, report)
			}
			if !strings.Contains(report.Void, test.says) {
				t.Errorf("void because %q", report.Void)
			}
			var table bytes.Buffer
			if err := report.Table(&table); err != nil || !strings.Contains(table.String(), "VOID: "+report.Void) || strings.Contains(table.String(), "was kept") {
				t.Errorf("%v\n%s", err, &table)
			}
		})
	}
}

func TestHoldWhoseDeadlineIsTooFarAwayIsSaidNotToBeChecked(t *testing.T) {
	t.Parallel()
	cfg := quick(newFake(t, breakage{}), 60)
	cfg.Create = house(600, time.Minute)
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.Table(&table); err != nil {
		t.Fatal(err)
	}
	if report.Figures["expiry_unchecked"].Value == 0 || !strings.Contains(table.String(), "not checked: ") || strings.Contains(table.String(), "every promise was kept") {
		t.Errorf("%v holds unchecked in\n%s", report.Figures["expiry_unchecked"].Value, &table)
	}
}

func TestOrderThatComesToNoEndCountsAsHavingTakenAllTheTimeThereWas(t *testing.T) {
	t.Parallel()
	cfg := quick(newFake(t, breakage{neverSettles: true}), 20)
	cfg.ResultTimeout = time.Second
	report, _ := Rush(t.Context(), cfg) // a broken promise, which is another test's
	if report == nil {
		t.Fatal("no report")
	}
	figure := func(name string) float64 { return report.Figures[name].Value }
	if n := figure("accepted"); n == 0 || figure("unsettled") != n || figure("settle_count") != n || figure("settle_p50") < 999 { // three digits
		t.Errorf("%v accepted, %v unsettled, %v timed, half of them within %v ms", n, figure("unsettled"), figure("settle_count"), figure("settle_p50"))
	}
}

func TestBuyerTriesOnWhileAnythingIsLeft(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	f.taken = 12
	cfg := quick(f, 1)
	cfg.Seed = 4 // a buyer who clicks once
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if held, refused := report.Figures["held"].Value, report.Figures["refused"].Value; held != 1 || refused != 12 {
		t.Errorf("held %v after %v refusals", held, refused)
	}
}

func TestBuyerLooksOnForWhatComesBackToASoldOutHouse(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	event := house(60, time.Minute)
	event.Sale = onsale.SaleOpen
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	f.stage(event)
	empty := f.view
	f.mu.Lock()
	f.view.Sections = slices.Clone(empty.Sections)
	for i, s := range f.view.Sections {
		f.view.Sections[i].Counts = onsale.Counts{Sold: s.Available}
		f.view.Sections[i].Seats = strings.ReplaceAll(s.Seats, string(onsale.SeatAvailable), string(onsale.SeatSold))
	}
	f.mu.Unlock()
	cfg := quick(f, 1)
	cfg.Event, cfg.Seed, cfg.Think = event.ID, 4, 400*time.Millisecond // four looks are longer than it takes to be told twice
	told := 0
	cfg.Progress = func(p Progress) {
		if p.Active == 0 || p.Feeds < 2 {
			return
		}
		if told++; told == 2 {
			f.mu.Lock()
			defer f.mu.Unlock()
			empty.Seq = f.view.Seq + 1
			f.view = empty
			for c := range f.clients {
				c.send(f.view)
			}
		}
	}
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if report.Figures["held"].Value != 1 || report.Figures["refused"].Value != 0 {
		t.Errorf("held %v, refused %v", report.Figures["held"].Value, report.Figures["refused"].Value)
	}
}

func TestCrowdThatWantsMoreThanThereIsLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	cfg := quick(f, 120)
	cfg.Create = house(120, time.Minute)
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if left, empty := report.Figures["left"].Value, report.Figures["left_empty"].Value; left != 0 || empty == 0 {
		t.Errorf("%v admissions left, and %v buyers left with nothing", left, empty)
	}
}

func TestHouseThatIsTooLargeForTheCrowdIsLeftInPart(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	cfg := quick(f, 20)
	cfg.Create = house(600, time.Minute)
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var shown int64
	for _, s := range f.view.Sections {
		shown += s.Available
	}
	if left := report.Figures["left"].Value; left == 0 || left != float64(shown) || report.Figures["left_empty"].Value != 0 {
		t.Errorf("%v admissions left of %d, and %v buyers left with nothing", left, shown, report.Figures["left_empty"].Value)
	}
}

func TestHoldsThatWereLetGoAreSeenToExpire(t *testing.T) {
	cfg := quick(newFake(t, breakage{}), 60)
	cfg.Create, cfg.ExpiryWait = house(600, time.Second), 5*time.Second
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if report.Figures["expired"].Value == 0 {
		t.Error("no hold expired")
	}
}

func TestFeedThatLostAFrameIsMended(t *testing.T) {
	for name, test := range map[string]struct {
		breaks breakage
		figure string
	}{
		"by resuming at a gap":            {breakage{skipsDelta: true}, "feed_resumes"},
		"by opening it again after a cut": {breakage{dropsFeed: true}, "feed_dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Rush(t.Context(), quick(newFake(t, test.breaks), 60))
			if err != nil {
				t.Fatal(err)
			}
			if report.Figures[test.figure].Value == 0 || report.Ratios["feeds_checked"] != 1 {
				t.Errorf("%s %v, feeds compared %v", test.figure, report.Figures[test.figure], report.Ratios["feeds_checked"])
			}
		})
	}
}

func TestStoppedRushLeavesNothingRunning(t *testing.T) {
	f := newFake(t, breakage{neverSettles: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := quick(f, 40)
	cfg.Progress = func(p Progress) {
		if p.Held > 5 {
			cancel()
		}
	}
	report, err := Rush(ctx, cfg)
	if report != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", report, err)
	}
	if f.event.Sale != onsale.SaleClosed {
		t.Errorf("the event of the stopped rush is %s", f.event.Sale)
	}
}

func TestUnreachableTargetIsOneErrorAndNoReport(t *testing.T) {
	f := newFake(t, breakage{})
	cfg := quick(f, 5)
	f.Close()
	report, err := Rush(t.Context(), cfg)
	var wrong *ConfigError
	if report != nil || !errors.As(err, &wrong) {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWrongOperatorIsFoundOutBeforeTheStorm(t *testing.T) {
	for name, event := range map[string]onsale.EventID{"own event": "", "given event": "house"} {
		t.Run(name, func(t *testing.T) {
			cfg := quick(newFake(t, breakage{}), 5)
			cfg.AdminToken, cfg.Event = "someone", event
			cfg.Progress = func(p Progress) {
				if p.Arrived > 0 {
					t.Error("the storm began")
				}
			}
			_, err := Rush(t.Context(), cfg)
			var wrong *ConfigError
			if !errors.As(err, &wrong) {
				t.Errorf("%v", err)
			}
		})
	}
}

// house is an event of so many places, whose holds last so long.
func house(places int, holds time.Duration) *onsale.Event {
	return &onsale.Event{ID: "house", Name: "House", StartsAt: time.Now(), Currency: "EUR", HoldSeconds: int(holds / time.Second),
		Sections: []onsale.Section{
			{ID: "floor", Kind: onsale.General, Price: 100, Capacity: int64(places) / 3},
			{ID: "stand", Kind: onsale.Reserved, Price: 100, Grid: &onsale.Grid{Rows: places * 2 / 3 / 10, Seats: 10}},
		}}
}
