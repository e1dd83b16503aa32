package checkout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/internal/kafka"
)

// counter is a till with what it works on.
type counter struct {
	*hall
	*line
	t    *testing.T
	till *Till
}

func newCounter(t *testing.T, k *line) *counter {
	t.Helper()
	h := newHall(t)
	return &counter{hall: h, line: k, t: t, till: NewTill(h.desk, k.producer)}
}

func (c *counter) accept(hold onsale.Hold) (onsale.Order, error) {
	return c.till.Accept(c.t.Context(), c.layout, request(hold))
}

// acceptThen is accept by AcceptThen.
func (c *counter) acceptThen(r Request) (order onsale.Order, err error) {
	told := make(chan struct{})
	c.till.AcceptThen(c.layout, r, func(o onsale.Order, e error) {
		order, err = o, e
		close(told) // twice panics
	})
	<-told
	return order, err
}

func (c *counter) mustAccept(hold onsale.Hold) onsale.Order {
	c.t.Helper()
	order, err := c.accept(hold)
	if err != nil {
		c.t.Fatal(err)
	}
	return order
}

func request(hold onsale.Hold) Request {
	return Request{Hold: hold.ID, Buyer: hold.Buyer, Generation: hold.Generation, PaymentToken: "tok_ok"}
}

func TestAcceptedPurchaseIsInKafkaAndItsHoldIsPinned(t *testing.T) {
	t.Parallel()
	for name, accept := range map[string]func(*counter, Request) (onsale.Order, error){
		"waited for": func(c *counter, r Request) (onsale.Order, error) { return c.till.Accept(c.t.Context(), c.layout, r) },
		"told later": (*counter).acceptThen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isAcceptedAndPinned(t, accept)
		})
	}
}

func isAcceptedAndPinned(t *testing.T, accept func(*counter, Request) (onsale.Order, error)) {
	t.Helper()
	c := newCounter(t, newLine(t))
	hold := c.hold(c.layout, alice, stand("A-3", "A-4"))
	order, err := accept(c, request(hold))
	if err != nil {
		t.Fatal(err)
	}
	if order.ID != hold.ID.Order() || order.State != onsale.OrderAccepted || order.Amount != 16000 || order.Currency != "EUR" || order.AcceptedAt.IsZero() {
		t.Errorf("%+v", order)
	}
	c.wantState(hold, onsale.HoldPinned)
	p := read[onsale.Purchase](c.line, onsale.TopicPurchases, 1)[0]
	if p.Order != order.ID || p.Hold != hold.ID || p.Event != "concert" || p.Epoch != 1 || p.Generation != hold.Generation || p.Buyer != alice ||
		p.Amount != 16000 || p.Currency != "EUR" || p.PaymentToken != "tok_ok" || !p.At.Equal(order.AcceptedAt) ||
		len(p.Lines) != 1 || strings.Join(p.Lines[0].Seats, " ") != "A-3 A-4" {
		t.Errorf("%+v", p)
	}
}

func TestAcceptedHoldIsAnsweredAgainWithoutAnotherPurchaseInKafka(t *testing.T) {
	t.Parallel()
	c := newCounter(t, newLine(t))
	hold := c.hold(c.layout, alice, floor(1))
	first := c.mustAccept(hold)
	eventually(t, "Redis knows that it is accepted", func() bool { return !c.look(hold).AcceptedAt.IsZero() })
	for range 3 {
		if again := c.mustAccept(hold); again.ID != first.ID || !again.AcceptedAt.Equal(first.AcceptedAt) {
			t.Errorf("%+v, first %+v", again, first)
		}
		if again, err := c.acceptThen(request(hold)); err != nil || again.ID != first.ID || !again.AcceptedAt.Equal(first.AcceptedAt) {
			t.Errorf("%+v, %v; first %+v", again, err, first)
		}
	}
	c.wantRecords(onsale.TopicPurchases, 1)
	c.wantFloor(onsale.Counts{Available: 19, Pinned: 1})
}

func TestWhatCantBeBoughtIsRefusedAndNothingIsInKafka(t *testing.T) {
	t.Parallel()
	c := newCounter(t, newLine(t))
	hold := c.hold(c.layout, alice, floor(1))
	for name, test := range map[string]struct {
		change func(*Request)
		want   onsale.Code
	}{
		"no token":                      {func(r *Request) { r.PaymentToken = "" }, onsale.CodeBadRequest},
		"a token with a line break":     {func(r *Request) { r.PaymentToken = "tok\nok" }, onsale.CodeBadRequest},
		"a token with a NUL":            {func(r *Request) { r.PaymentToken = "tok_ok\x00" }, onsale.CodeBadRequest},
		"a token with a DEL":            {func(r *Request) { r.PaymentToken = "tok\x7fok" }, onsale.CodeBadRequest},
		"a token beyond ASCII":          {func(r *Request) { r.PaymentToken = "tök" }, onsale.CodeBadRequest},
		"a token that is not UTF-8":     {func(r *Request) { r.PaymentToken = "tok\xff" }, onsale.CodeBadRequest},
		"a token too long":              {func(r *Request) { r.PaymentToken = strings.Repeat("t", MaxTokenLength+1) }, onsale.CodeBadRequest},
		"another's hold":                {func(r *Request) { r.Buyer = bob }, onsale.CodeUnknownHold},
		"a hold that never was":         {func(r *Request) { r.Hold = onsale.NewHoldID("concert", 1) }, onsale.CodeUnknownHold},
		"no hold's id":                  {func(r *Request) { r.Hold = "nonsense" }, onsale.CodeUnknownHold},
		"a generation that has changed": {func(r *Request) { r.Generation++ }, onsale.CodeHoldEnded},
	} {
		r := request(hold)
		test.change(&r)
		if _, err := c.till.Accept(t.Context(), c.layout, r); onsale.CodeOf(err) != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		if _, err := c.acceptThen(r); onsale.CodeOf(err) != test.want {
			t.Errorf("%s, told later: %v, want %s", name, err, test.want)
		}
	}
	c.wantState(hold, onsale.HoldHeld)
	c.wantRecords(onsale.TopicPurchases, 0)

	longest := request(hold)
	longest.PaymentToken = " ~" + strings.Repeat("t", MaxTokenLength-2)
	if _, err := c.till.Accept(t.Context(), c.layout, longest); err != nil {
		t.Errorf("the longest token: %v", err)
	}
}

func TestExpiredHoldCantBeBoughtAndNothingIsInKafka(t *testing.T) {
	t.Parallel()
	c := newCounter(t, newLine(t))
	hold := c.hold(c.layout, alice, floor(1)) // for two seconds
	eventually(t, "its deadline passes", func() bool { return c.look(hold).State == onsale.HoldExpired })
	_, err := c.accept(hold)
	wantCode(t, err, onsale.CodeHoldEnded)
	c.wantFloor(onsale.Counts{Available: 20})
	c.wantRecords(onsale.TopicPurchases, 0)
}

func TestPinnedHoldOutlivesItsDeadlineUntilKafkaHasItsPurchase(t *testing.T) {
	t.Parallel()
	c := newCounter(t, newPrivateLine(t))
	hold := c.hold(c.layout, alice, floor(1))
	c.line.stop()
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := c.till.Accept(brief, c.layout, request(hold))
	wantCode(t, err, onsale.CodeUnavailable)
	var refusal *onsale.Error
	if !errors.Is(err, kafka.ErrInDoubt) || !errors.As(err, &refusal) || refusal.RetryAfter <= 0 {
		t.Errorf("%v says neither that it is in doubt, nor when to ask again", err)
	}
	if !c.look(hold).AcceptedAt.IsZero() {
		t.Error("Redis was told that it is accepted")
	}
	other := c.hold(c.layout, bob, floor(1)) // expires after the pinned one would have
	eventually(t, "the deadline passes", func() bool { return c.look(other).State == onsale.HoldExpired })
	c.wantState(hold, onsale.HoldPinned)

	c.line.start()
	order := c.mustAccept(hold)
	if order.ID != hold.ID.Order() {
		t.Errorf("order %s of hold %s", order.ID, hold.ID)
	}
	for _, p := range read[onsale.Purchase](c.line, onsale.TopicPurchases, int(c.records(onsale.TopicPurchases))) {
		if p.Order != order.ID { // the one in doubt may have landed too: it is the same order
			t.Errorf("another order: %+v", p)
		}
	}
}

func TestPurchaseThatKafkasProducerHasNoRoomForIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	c := newCounter(t, newPrivateLine(t))
	c.mustAccept(c.hold(c.layout, bob, floor(1))) // the connection is up
	hold := c.hold(c.layout, alice, floor(1))
	c.line.stop()
	fill := make([]kafka.Message, 60_000)
	for i := range fill {
		fill[i] = kafka.Message{Topic: onsale.TopicResults, Key: "full", Value: 1}
	}
	brief, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.producer.Produce(brief, fill...); err == nil {
		t.Fatal("a broker that is away has acknowledged")
	}
	_, err := c.accept(hold)
	_, later := c.acceptThen(request(hold))
	for _, err := range []error{err, later} {
		wantCode(t, err, onsale.CodeOverloaded)
		if !errors.Is(err, kafka.ErrFull) {
			t.Errorf("%v", err)
		}
	}
	c.wantState(hold, onsale.HoldPinned)

	c.line.start()
	eventually(t, "there is room again", func() bool {
		order, err := c.accept(hold)
		return err == nil && order.ID == hold.ID.Order()
	})
}

func TestNoticeOfTheProviderIsTakenOnlyOnceKafkaHasIt(t *testing.T) {
	t.Parallel()
	c := newCounter(t, newPrivateLine(t))
	result := onsale.ChargeResult{Order: onsale.NewHoldID("concert", 1).Order(), Event: "concert", Outcome: onsale.ChargeCaptured,
		Reference: "chg_1", Amount: 5000, Currency: "EUR", At: time.Unix(1.8e9, 0).UTC()}
	if err := c.till.ReportResult(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	if got := read[onsale.ChargeResult](c.line, onsale.TopicResults, 1)[0]; got != result {
		t.Errorf("%+v, want %+v", got, result)
	}
	c.line.stop()
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	wantCode(t, c.till.ReportResult(brief, result), onsale.CodeUnavailable)
	c.line.start()
}
