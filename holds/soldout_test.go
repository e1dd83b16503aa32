package holds

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"onsale"
)

// mirror has the house's desk mirrored, and returns when the stock is known.
func (h *house) mirror() {
	h.t.Helper()
	m := NewMirrors(h.desk, h.client, func(onsale.EventID) {}, slog.New(slog.DiscardHandler))
	h.t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	eventually(h.t, "the mirror knows the stock", func() bool { return m.View(h.layout, func(*onsale.Stock) {}) })
}

// sellOut holds all of the floor.
func (h *house) sellOut() {
	h.t.Helper()
	for i := range 5 {
		h.mustHold(onsale.BuyerID("buy_"+strconv.Itoa(i)), floor(2))
	}
}

// wanted is a request for one more of the floor, and the hold that it would be.
func (h *house) wanted(key string) (*Request, onsale.HoldID) {
	h.t.Helper()
	asks, err := h.layout.CheckAsks([]onsale.Ask{floor(1)})
	if err != nil {
		h.t.Fatal(err)
	}
	return &Request{Buyer: "buy_late", Asks: asks, Key: key}, h.desk.ids.Derive(h.layout.Event.ID, testEpoch, "buy_late", key)
}

// knowsItIsSoldOut waits until the mirror refuses by itself.
func (h *house) knowsItIsSoldOut() {
	h.t.Helper()
	r, id := h.wanted("another")
	eventually(h.t, "the mirror refuses by itself", func() bool {
		_, err := eitherHold(h.t.Context(), h.desk, h.layout, *r) // whose reply it learns from
		return onsale.CodeOf(err) == onsale.CodeSoldOut && h.desk.mirrors.Load().refuse(h.layout, r, id) != nil
	})
}

func TestASoldOutSectionIsRefusedWithoutAskingRedis(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.mirror()
	h.sellOut()
	h.knowsItIsSoldOut()
	const most = 1000
	for i := range most {
		if _, err := h.hold("buy_late", strconv.Itoa(i), floor(1)); onsale.CodeOf(err) != onsale.CodeSoldOut {
			t.Fatalf("hold %d: %v, want sold_out", i, err)
		}
	}
	// Now and then one asks, as what is known grows old: their calls show in when the last was sent.
	mi := h.desk.mirrors.Load().mirrors[h.layout.Event.ID]
	mi.mu.Lock()
	mi.sighted.newest.sent = time.Now().Add(time.Hour) // known for ever
	sent := mi.sighted.newest.sent
	mi.mu.Unlock()
	for i := range most {
		if _, err := h.hold("buy_late", strconv.Itoa(i), floor(1)); onsale.CodeOf(err) != onsale.CodeSoldOut {
			t.Fatalf("hold %d: %v, want sold_out", i, err)
		}
	}
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if !mi.sighted.newest.sent.Equal(sent) {
		t.Error("Redis was asked though everything was known")
	}
}

func TestARepeatOfAGrantedHoldIsAnsweredWithItThoughAllIsSoldOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	early, err := h.hold("buy_early", "key", floor(2)) // before anyone listens
	if err != nil {
		t.Fatal(err)
	}
	h.mirror()
	late, err := h.hold("buy_last", "key", floor(4))
	if err != nil {
		t.Fatal(err)
	}
	h.mustHold("buy_other", floor(4))
	h.knowsItIsSoldOut()
	for _, c := range []struct {
		buyer onsale.BuyerID
		n     int
		want  onsale.HoldID
	}{{"buy_early", 2, early.ID}, {"buy_last", 4, late.ID}} {
		again, err := h.hold(c.buyer, "key", floor(c.n))
		if err != nil || again.ID != c.want {
			t.Errorf("%s's repeat is answered %q, %v; want %q", c.buyer, again.ID, err, c.want)
		}
		if _, err := h.hold(c.buyer, "key", floor(1)); onsale.CodeOf(err) != onsale.CodeKeyReused {
			t.Errorf("%s's key with another body: %v, want key_reused", c.buyer, err)
		}
	}
}

func TestAMirrorThatMayNotKnowLetsRedisDecide(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.mirror()
	h.sellOut()
	h.knowsItIsSoldOut()
	mi := h.desk.mirrors.Load().mirrors[h.layout.Event.ID]
	r, id := h.wanted("another")
	// refuses asks the mirror after a change, which is undone before anyone sees it.
	refuses := func(change func()) bool {
		mi.mu.Lock()
		defer mi.mu.Unlock()
		kept, stock, due, whole := mi.sighted, *mi.stock, mi.nextDue, mi.grants.whole
		mi.sighted = sightings{newest: sighting{epoch: mi.stock.Epoch, seq: mi.stock.Seq, now: time.Now(), sent: time.Now()}}
		mi.nextDue, mi.grants.reading = time.Time{}, true
		change()
		refused := mi.refuse(r, id) != nil
		mi.sighted, *mi.stock, mi.nextDue, mi.grants.whole, mi.grants.reading = kept, stock, due, whole, false
		return refused
	}
	if !refuses(func() {}) {
		t.Fatal("it doesn't refuse when it knows all")
	}
	for name, change := range map[string]func(){
		"the last reply is too old":         func() { mi.sighted.newest.sent = time.Now().Add(-knownFor - time.Millisecond) },
		"a later seq was named":             func() { mi.sighted.newest.seq++ },
		"the reply was of another epoch":    func() { mi.sighted.newest.epoch++ },
		"something is due":                  func() { mi.nextDue = mi.sighted.newest.now },
		"something was due by then":         func() { mi.sighted.newest.due = mi.sighted.newest.now },
		"the sale is recovering":            func() { mi.stock.Sale = onsale.SaleRecovering },
		"older grants are not read":         func() { mi.grants.whole = false },
		"there is one, and more can be had": func() { mi.stock.Counts = []onsale.Counts{{Available: 1}, {}} },
	} {
		if refuses(change) {
			t.Errorf("%s: refused all the same", name)
		}
	}
	busy := func() { // replies come faster than the mirror hears of what they changed
		for range 3 {
			later := mi.sighted.newest
			later.seq++
			mi.sighted.note(later)
			mi.sighted.catchUp(mi.stock.Epoch, mi.stock.Seq)
		}
	}
	if !refuses(func() { mi.sighted.catchUp(mi.stock.Epoch, mi.stock.Seq); busy() }) {
		t.Error("it knew all a moment ago, and doesn't refuse while others buy")
	}
	if refuses(busy) {
		t.Error("it has never known what Redis has: refused all the same")
	}
	if refuses(func() { mi.grants.learn([]string{tailOf(id)}) }) {
		t.Error("a call of this process has granted the id: refused all the same")
	}
	if refuses(func() { mi.grants.add(tailOf(id)) }) {
		t.Error("the id may have been granted: refused all the same")
	}
}

// While others buy, a mirror catches up with one reply after the other, each of which it has waited for.
func TestAMirrorThatIsAlwaysBehindCatchesUpWithSomeReplies(t *testing.T) {
	t.Parallel()
	var s sightings
	now := time.Now()
	caught := map[uint64]bool{}
	for seq := uint64(1); seq <= 20; seq++ { // the mirror is always three behind
		s.note(sighting{epoch: 1, seq: seq, sent: now.Add(time.Duration(seq))})
		if c := s.catchUp(1, max(seq, 3)-3); c.seq > max(seq, 3)-3 {
			t.Fatalf("caught up with seq %d, at %d", c.seq, seq-3)
		} else if c.seq > 0 {
			caught[c.seq] = true
		}
	}
	if len(caught) < 20/4-1 {
		t.Errorf("it has caught up with %v of 20", caught)
	}
	if s.note(sighting{epoch: 1, seq: 5}) {
		t.Error("an earlier reply is taken for the newest")
	}
	s.note(sighting{epoch: 1, seq: 21, sent: now, frees: true})
	if s.catchUp(1, 20) != nil || s.catchUp(1, 21) == nil {
		t.Error("what was given back isn't waited for, or for ever")
	}
	s.note(sighting{epoch: 1, seq: 25, sent: now})
	s.note(sighting{epoch: 1, seq: 24, sent: now, frees: true}) // its reply was overtaken
	if s.catchUp(1, 23) != nil || s.catchUp(1, 24) == nil {
		t.Error("what was given back by an earlier call isn't waited for")
	}
	s.note(sighting{epoch: 2, seq: 1, sent: now})
	if s.catchUp(1, 30) != nil {
		t.Error("a stock of an earlier epoch is good enough")
	}
	if s.catchUp(2, 1) == nil {
		t.Error("what was given back in another epoch is waited for")
	}
}

func TestGrantedIDsAreNeverForgotten(t *testing.T) {
	t.Parallel()
	var g grantedIDs
	g.empty(2000)
	g.ready()
	ids := onsale.NewHoldIDs([]byte("s"))
	tail := func(i int) string { return tailOf(ids.Derive("e", 1, "buy", strconv.Itoa(i))) }
	told := ""
	for i := range 2000 {
		told += tail(i)
	}
	g.note(told)
	for i := range 2000 {
		if !g.has(tail(i)) {
			t.Fatalf("id %d is forgotten", i)
		}
	}
	wrong := 0
	for i := 2000; i < 12_000; i++ {
		if g.has(tail(i)) {
			wrong++
		}
	}
	if wrong > 200 {
		t.Errorf("%d of 10,000 ids are taken for granted", wrong)
	}
	if g.isFull() {
		t.Error("it is full of what it has room for")
	}
	for range 3 {
		g.note(told)
	}
	if !g.isFull() {
		t.Error("it isn't full after four times what it has room for")
	}
	g.empty(10)
	if g.ready(); g.has(tail(1)) || g.whole {
		t.Error("it isn't empty")
	}
}

func TestASeatThatIsTakenIsRefusedWithoutAskingRedisButNotWhenItWasJustGivenBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.mirror()
	mine := h.mustHold("buy_a", stand("A-1", "A-2"))
	mi := h.desk.mirrors.Load().mirrors[h.layout.Event.ID]
	// known asks the mirror alone, for which all it has is what there is.
	known := func(buyer onsale.BuyerID) error {
		asks, err := h.layout.CheckAsks([]onsale.Ask{stand("A-2", "A-3")})
		if err != nil {
			t.Fatal(err)
		}
		mi.mu.Lock()
		defer mi.mu.Unlock()
		mi.sighted.note(sighting{epoch: mi.stock.Epoch, seq: mi.stock.Seq, now: time.Now(), sent: time.Now()})
		return mi.refuse(&Request{Buyer: buyer, Asks: asks}, "")
	}
	eventually(t, "it is refused without asking", func() bool { return known("buy_b") != nil })
	_, err := h.hold("buy_b", "", stand("A-2", "A-3"))
	byRedis, byMirror := wantRefusal(t, err, onsale.CodeSeatTaken), wantRefusal(t, known("buy_b"), onsale.CodeSeatTaken)
	if !reflect.DeepEqual(byRedis, byMirror) {
		t.Errorf("Redis's refusal is %+v, the mirror's %+v", byRedis, byMirror)
	}
	if err := h.desk.Release(t.Context(), h.layout, mine.ID, "buy_a", 0); err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // the reply to a release is here before the mirror hears of it
		buyer := onsale.BuyerID("buy_" + strconv.Itoa(i))
		hold, err := h.hold(buyer, "", stand("A-1", "A-2"))
		if err != nil {
			t.Fatalf("what was just given back is refused: %v", err)
		}
		if err := h.desk.Release(t.Context(), h.layout, hold.ID, buyer, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOfARepliesHoldsThoseThatMayBeRepeatedAreKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	ask := func(key string, asks ...onsale.Ask) *operation {
		checked, err := h.layout.CheckAsks(asks)
		if err != nil {
			t.Fatal(err)
		}
		r := Request{Buyer: "buy_a", Asks: checked, Key: key}
		name, args := r.arguments()
		return &operation{name: name, hold: h.desk.ids.Derive(h.layout.Event.ID, testEpoch, "buy_a", key), args: args}
	}
	batch := []*operation{ask("one", floor(1)), ask("two", floor(1), stand("A-1")), ask("three", best(2)), ask("", floor(1)), ask("", floor(1), stand("A-2")), ask("late", floor(1))}
	var seen sighting
	seen.hear(batch, []string{"ok = h", "ok = h", "ok = h", "ok = h", "ok = h", "sold_out 0 0"})
	if want := []string{tailOf(batch[0].hold), tailOf(batch[1].hold), tailOf(batch[2].hold)}; !slices.Equal(seen.granted, want) || seen.frees {
		t.Errorf("granted %q, want %q; frees: %v", seen.granted, want, seen.frees)
	}
	for _, name := range []string{"release", "free", "refund"} {
		var seen sighting
		if seen.hear([]*operation{{name: name}}, []string{"ok"}); !seen.frees {
			t.Errorf("%s gives nothing back", name)
		}
	}
}
