package persist

import (
	"crypto/ed25519"
	"reflect"
	"sync"
	"testing"

	"onsale"
)

func TestCapturedOrderIsTicketedWithSignedCodes(t *testing.T) {
	b := newBook(t)
	p := b.purchase(stalls("A-1", "B-2"), floor(2))
	b.claim(p)
	news, strays := b.finalise(captured(p))
	if len(strays) != 0 || len(news) != 1 || news[0].State != onsale.OrderTicketed || news[0].Buyer != p.Buyer || news[0].Hold != p.Hold {
		t.Fatalf("news %+v, strays %+v", news, strays)
	}
	tickets, err := b.Tickets(t.Context(), p.Order)
	if err != nil || len(tickets) != 4 {
		t.Fatalf("%d tickets, %v", len(tickets), err)
	}
	public := onsale.TicketKey(secret).Public().(ed25519.PublicKey)
	for i, want := range []struct{ section, seat string }{{"stalls", "A-1"}, {"stalls", "B-2"}, {"floor", ""}, {"floor", ""}} {
		ticket := tickets[i]
		admits, ok := onsale.VerifyCode(public, ticket.Code)
		if !ok || admits.ID != p.Order.Ticket(i+1) || admits.Section != want.section || admits.Seat != want.seat || admits.Event != "gala" {
			t.Errorf("ticket %d admits to %+v (signed: %t), want %+v", i+1, admits, ok, want)
		}
		if ticket.ID != admits.ID || ticket.Order != p.Order || ticket.IssuedAt != news[0].At {
			t.Errorf("ticket %+v", ticket)
		}
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestDeclinedOrderGivesItsInventoryBack(t *testing.T) {
	b := newBook(t)
	p := b.purchase(stalls("A-1", "A-2"), floor(4))
	b.claim(p)
	news, strays := b.finalise(declined(p))
	if len(strays) != 0 || len(news) != 1 || news[0].State != onsale.OrderDeclined || news[0].Reason != "card_declined" {
		t.Fatalf("news %+v, strays %+v", news, strays)
	}
	charges, _ := b.claim(b.purchase(stalls("A-2")), b.purchase(floor(5)), b.purchase(floor(5)), b.purchase(stalls("A-1")))
	if len(charges) != 4 {
		t.Errorf("%d of 4 could have what was given back", len(charges))
	}
	assertNothingBroken(t, b)
}

func TestRepeatedAnswerChangesNothingAndTellsTheSame(t *testing.T) {
	b := newBook(t)
	sold, refused := b.purchase(stalls("A-1")), b.purchase(floor(2))
	b.claim(sold, refused)
	batch := []onsale.ChargeResult{captured(sold), declined(refused), captured(sold)}
	news, strays := b.finalise(batch...)
	if len(news) != 2 || len(strays) != 0 {
		t.Fatalf("news %+v, strays %+v", news, strays)
	}
	before := b.number(`SELECT count(*) FROM order_history`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			again, strays, err := b.Finalise(t.Context(), batch)
			if err != nil || len(strays) != 0 || !reflect.DeepEqual(again, news) {
				t.Errorf("the repeat told %+v %+v %v, want %+v", again, strays, err, news)
			}
		})
	}
	wg.Wait()
	if after := b.number(`SELECT count(*) FROM order_history`); after != before {
		t.Errorf("%d moves became %d", before, after)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestTwoSettlersWithTheSameAnswersFinaliseThemOnce(t *testing.T) {
	b := newBook(t)
	var batch []onsale.ChargeResult
	for _, seat := range []string{"A-1", "A-2", "A-3", "A-4", "A-5", "A-6"} {
		p := b.purchase(stalls(seat), floor(1))
		b.claim(p)
		if seat < "A-4" {
			batch = append(batch, captured(p))
		} else {
			batch = append(batch, declined(p))
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, strays, err := b.Finalise(t.Context(), batch); err != nil || len(strays) > 0 {
				t.Errorf("%v, strays %+v", err, strays)
			}
		})
	}
	wg.Wait()
	if n := b.number(`SELECT count(*) FROM tickets`); n != 6 {
		t.Errorf("%d tickets, want 6", n)
	}
	if r := b.audit(); !r.OK() || r.Orders[onsale.OrderTicketed] != 3 || r.Orders[onsale.OrderDeclined] != 3 {
		t.Errorf("%v %v", r.Orders, r.Err())
	}
}

func TestCaptureThatBuysNothingIsRecordedAndReturned(t *testing.T) {
	b := newBook(t)
	gone, lost, never := b.purchase(stalls("A-2")), b.purchase(stalls("A-1")), b.purchase(floor(1))
	b.claim(b.purchase(stalls("A-1")), gone, lost)
	b.finalise(declined(gone))
	b.claim(b.purchase(stalls("A-2"))) // what it was for is another's by now
	results := []onsale.ChargeResult{captured(gone), captured(lost), captured(never)}
	want := []Stray{{0, ReasonOrderEnded}, {1, ReasonOrderEnded}, {2, ReasonUnknownOrder}}
	for range 2 { // a repeat is reported again and recorded once
		if _, strays := b.finalise(results...); !reflect.DeepEqual(strays, want) {
			t.Errorf("strays %+v, want %+v", strays, want)
		}
	}
	if n := b.number(`SELECT count(*) FROM payments WHERE state = 'refund_due'`); n != 3 {
		t.Errorf("%d payments wait for their refund, want 3", n)
	}
	if s := b.state(gone.Order); s != onsale.OrderDeclined {
		t.Errorf("the declined order became %s", s)
	}
	if r := b.audit(); r.DoubleCharges != 0 {
		t.Errorf("the audit counts %d captures without an order while their refunds are due: %v", r.DoubleCharges, r.Err())
	}
	b.refuseRefunds()
	if r := b.audit(); r.DoubleCharges != 3 {
		t.Errorf("the audit counts %d captures without an order, want 3: %v", r.DoubleCharges, r.Err())
	}
}

// refuseRefunds has the provider refuse all that is due.
func (b *book) refuseRefunds() {
	b.t.Helper()
	due, err := b.TakeRefunds(b.t.Context(), 100, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range due {
		b.endRefund(d.ID, onsale.RefundRefused)
	}
}

func TestSecondCaptureOfAnOrderIsADoubleChargeOnRecord(t *testing.T) {
	b := newBook(t)
	p := b.purchase(floor(1))
	b.claim(p)
	first, second := captured(p), captured(p)
	second.Reference = "ch_second"
	news, strays := b.finalise(first, second)
	if len(news) != 1 || news[0].State != onsale.OrderTicketed || !reflect.DeepEqual(strays, []Stray{{1, ReasonDoubleCharge}}) {
		t.Fatalf("news %+v, strays %+v", news, strays)
	}
	b.refuseRefunds()
	r := b.audit()
	if r.DoubleCharges != 1 || len(r.Violations) != 1 || r.Violations[0].Invariant != onsale.InvariantCharges || r.Violations[0].Subject != "order "+string(p.Order) {
		t.Errorf("the audit found %d: %v", r.DoubleCharges, r.Err())
	}
}

// TestACaptureOnRecordBeforeItsOrderIsNotRecordedTwice: settlement overlooks the payment of a
// claimed order at first, is refused by its primary key, and then looks.
func TestACaptureOnRecordBeforeItsOrderIsNotRecordedTwice(t *testing.T) {
	b := newBook(t)
	p, other := b.purchase(floor(1)), b.purchase(floor(1))
	b.finalise(captured(p)) // nobody knows the order yet
	b.claim(p, other)
	news, strays := b.finalise(captured(other), captured(p))
	if len(news) != 2 || len(strays) != 0 {
		t.Errorf("news %+v, strays %+v", news, strays)
	}
	if n := b.number(`SELECT count(*) FROM payments`); n != 2 {
		t.Errorf("%d payments on record, want 2", n)
	}
	if state := b.state(other.Order); state != onsale.OrderTicketed {
		t.Errorf("the other order of the batch is %s", state)
	}
}

func TestMalformedAnswerIsKnownAsOne(t *testing.T) {
	b := newBook(t)
	fine := captured(b.purchase(floor(1)))
	if err := wellAnswered(&fine); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*onsale.ChargeResult){
		"no order":      func(r *onsale.ChargeResult) { r.Order = "" },
		"another event": func(r *onsale.ChargeResult) { r.Event = "ball" },
		"no outcome":    func(r *onsale.ChargeResult) { r.Outcome = "unknown" },
		"no reference":  func(r *onsale.ChargeResult) { r.Reference = "" },
		"zero byte":     func(r *onsale.ChargeResult) { r.Reason = "\x00" },
	} {
		r := fine
		if spoil(&r); wellAnswered(&r) == nil {
			t.Errorf("%s: taken for an answer", name)
		}
	}
}

// TestEachAnswerHasItsVerdict is the whole table of judge: what is on record, what
// the provider says, what follows.
func TestEachAnswerHasItsVerdict(t *testing.T) {
	const price = 100
	capture := func(reference string, amount int64) onsale.ChargeResult {
		return onsale.ChargeResult{Outcome: onsale.ChargeCaptured, Reference: reference, Amount: amount, Currency: "EUR"}
	}
	decline := onsale.ChargeResult{Outcome: onsale.ChargeDeclined, Reason: "no"}
	settled, due, refunded := map[string]string{"ch_1": paymentSettled}, map[string]string{"ch_1": paymentRefundDue}, map[string]string{"ch_1": paymentRefunded}
	for _, c := range []struct {
		name     string
		state    onsale.OrderState // "" for an order that is not on record
		captured map[string]string
		answer   onsale.ChargeResult
		want     verdict
	}{
		{"captured", onsale.OrderClaimed, nil, capture("ch_1", price), verdict{next: onsale.OrderTicketed, payment: paymentSettled, tell: true}},
		{"captured again", onsale.OrderTicketed, settled, capture("ch_1", price), verdict{tell: true}},
		{"captured twice", onsale.OrderTicketed, settled, capture("ch_2", price), verdict{payment: paymentRefundDue, stray: ReasonDoubleCharge, tell: true}},
		{"captured too little", onsale.OrderClaimed, nil, capture("ch_1", price-1), verdict{next: onsale.OrderDeclined, reason: ReasonWrongAmount, payment: paymentRefundDue, stray: ReasonWrongAmount, tell: true}},
		{"captured too late", onsale.OrderDeclined, nil, capture("ch_1", price), verdict{late: true, tell: true}},
		{"captured too late, and too little", onsale.OrderDeclined, nil, capture("ch_1", price-1), verdict{payment: paymentRefundDue, stray: ReasonOrderEnded, tell: true}},
		{"captured too late, again", onsale.OrderDeclined, due, capture("ch_1", price), verdict{payment: paymentRefundDue, stray: ReasonOrderEnded, tell: true}},
		{"captured for a rejected order", onsale.OrderRejected, nil, capture("ch_1", price), verdict{payment: paymentRefundDue, stray: ReasonOrderEnded, tell: true}},
		{"captured for nobody", "", nil, capture("ch_1", price), verdict{payment: paymentRefundDue, stray: ReasonUnknownOrder}},
		{"captured, refunded, told again", onsale.OrderRefunded, refunded, capture("ch_1", price), verdict{tell: true}},
		{"captured once more after the refund", onsale.OrderRefunded, refunded, capture("ch_2", price), verdict{payment: paymentRefundDue, stray: ReasonOrderEnded, tell: true}},
		{"declined", onsale.OrderClaimed, nil, decline, verdict{next: onsale.OrderDeclined, reason: "no", tell: true}},
		{"declined again", onsale.OrderDeclined, nil, decline, verdict{tell: true}},
		{"declined after its capture", onsale.OrderTicketed, settled, decline, verdict{stray: ReasonContradicted, tell: true}},
		{"declined for nobody", "", nil, decline, verdict{stray: ReasonUnknownOrder}},
	} {
		var o *bookedOrder
		if c.state != "" {
			o = &bookedOrder{Order: onsale.Order{State: c.state, Amount: price, Currency: "EUR"}}
		}
		got := judge(o, c.captured, &c.answer)
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		if got.next == onsale.OrderDeclined && !c.state.CanBecome(got.next) || got.next == onsale.OrderTicketed && !c.state.CanBecome(onsale.OrderPaid) {
			t.Errorf("%s: %s can't become %s", c.name, c.state, got.next)
		}
	}
}

func TestNewsAreToldOnlyOfWhatIsCommitted(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := b.purchase(stalls("A-1"))
	b.claim(p)
	// A constraint that is checked at COMMIT, and never holds.
	for _, statement := range []string{
		`CREATE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`,
		`CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_commit()`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	news, strays, err := b.Finalise(t.Context(), []onsale.ChargeResult{captured(p)})
	if err == nil || news != nil || strays != nil || b.state(p.Order) != onsale.OrderClaimed {
		t.Errorf("%+v, %+v, %v; the order is %s", news, strays, err, b.state(p.Order))
	}
}
