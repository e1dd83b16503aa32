package persist

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
)

func (b *book) scan(code, gate, key string) (*onsale.Checkin, error) {
	return b.CheckIn(b.t.Context(), Scan{Code: code, Gate: gate, Key: key})
}

func TestATicketAdmitsOnceAndTheSecondIsToldOfTheFirst(t *testing.T) {
	b := newBook(t)
	p := b.sold(stalls("A-1"), floor(1))
	code := b.ticket(p, 1).Code
	first, err := b.scan(code, "north", "")
	if err != nil || first.Ticket != p.Order.Ticket(1) || first.Section != "stalls" || first.Seat != "A-1" || first.Gate != "north" || time.Since(first.At) > time.Minute {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = b.scan(code, "south", "")
	var refused *onsale.Error
	if assertCode(t, "the second", err, onsale.CodeAlreadyAdmitted); !errors.As(err, &refused) || refused.First == nil || *refused.First != *first {
		t.Errorf("it was told %+v, want %+v", refused, first)
	}
	if ticket := b.ticket(p, 1); ticket.AdmittedAt == nil || !ticket.AdmittedAt.Equal(first.At) {
		t.Errorf("the ticket was admitted at %v, want %v", ticket.AdmittedAt, first.At)
	}
	if _, err := b.scan(b.ticket(p, 2).Code, "south", ""); err != nil {
		t.Error("the other ticket: ", err)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestFiftyScansOfOneCodeAtOnceAdmitOne(t *testing.T) {
	b := newBook(t)
	for round := range 3 {
		code := b.ticket(b.sold(floor(1)), 1).Code
		var admitted, told atomic.Int64
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				_, err := b.scan(code, fmt.Sprintf("gate %d", i), fmt.Sprintf("scan %d", round))
				switch onsale.CodeOf(err) {
				case "":
					admitted.Add(1)
				case onsale.CodeAlreadyAdmitted:
					told.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		if wg.Wait(); admitted.Load() != 1 || told.Load() != 49 {
			t.Fatalf("%d were admitted and %d told", admitted.Load(), told.Load())
		}
	}
	if n := b.number(`SELECT count(*) FROM checkins`); n != 3 {
		t.Errorf("%d check-ins", n)
	}
}

func TestARepeatedScanOfOneGateHasTheSameAnswer(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(2))
	code := b.ticket(p, 1).Code
	first, err := b.scan(code, "A", "k")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if again, err := b.scan(code, "A", "k"); err != nil || *again != *first {
				t.Errorf("the repeat got %+v, %v", again, err)
			}
		})
	}
	wg.Wait()
	for what, c := range map[string]struct {
		code, gate, key string
		want            onsale.Code
	}{
		"another gate under the same key":   {code, "B", "k", onsale.CodeAlreadyAdmitted},
		"the same gate under another key":   {code, "A", "l", onsale.CodeAlreadyAdmitted},
		"the same gate without a key":       {code, "A", "", onsale.CodeAlreadyAdmitted},
		"another ticket under the same key": {b.ticket(p, 2).Code, "A", "k", onsale.CodeKeyReused},
	} {
		_, err := b.scan(c.code, c.gate, c.key)
		assertCode(t, what, err, c.want)
	}
	if _, err := b.scan(b.ticket(p, 2).Code, "B", "k"); err != nil { // another gate's keys are its own; a refusal used up nothing
		t.Error(err)
	}
}

func TestEachTicketThatDoesNotAdmitIsToldWhy(t *testing.T) {
	b := newBook(t)
	void, blocked, moved, never := b.sold(floor(1)), b.sold(floor(1)), b.sold(floor(1)), b.purchase(floor(1))
	fine := b.ticket(b.sold(floor(1)), 1).Code
	voided, old := b.ticket(void, 1).Code, b.ticket(moved, 1).Code
	b.setState(blocked, onsale.TicketBlocked)
	b.setState(void, onsale.TicketVoid)
	b.give(moved.Order.Ticket(1), moved.Buyer, onsale.NewBuyerID())
	forged := onsale.Ticket{ID: void.Order.Ticket(1), Event: "gala", Section: "floor", Serial: 1}
	forged.Sign(onsale.TicketKey([]byte("another secret")))
	lost := onsale.Ticket{ID: never.Order.Ticket(1), Event: "gala", Section: "floor", Serial: 1}
	lost.Sign(b.ticketKey)
	for what, c := range map[string]struct {
		scan Scan
		want onsale.Code
	}{
		"void":                        {Scan{Code: voided}, onsale.CodeTicketVoid},
		"blocked":                     {Scan{Code: b.ticket(blocked, 1).Code}, onsale.CodeTicketBlocked},
		"an old code":                 {Scan{Code: old}, onsale.CodeTicketReissued},
		"of another event":            {Scan{Code: fine, Event: "ball"}, onsale.CodeOtherEvent},
		"forged":                      {Scan{Code: forged.Code}, onsale.CodeForgedCode},
		"forged, of another event":    {Scan{Code: forged.Code, Event: "ball"}, onsale.CodeForgedCode},
		"nonsense":                    {Scan{Code: "https://example.org/\x00"}, onsale.CodeForgedCode},
		"genuine, of a ticket nobody": {Scan{Code: lost.Code}, onsale.CodeUnknownTicket},
	} {
		c.scan.Gate, c.scan.Key = "A", "one key for all: a refusal uses up none"
		_, err := b.CheckIn(t.Context(), c.scan)
		assertCode(t, what, err, c.want)
	}
	if n := b.number(`SELECT count(*) FROM checkins`); n != 0 {
		t.Errorf("%d check-ins", n)
	}
	b.setState(blocked, onsale.TicketValid) // the refund was refused
	for _, p := range []onsale.Purchase{blocked, moved} {
		if _, err := b.CheckIn(t.Context(), Scan{Code: b.ticket(p, 1).Code, Event: "gala", Gate: "A"}); err != nil {
			t.Error(err)
		}
	}
}

func TestARefundAndAScanAtOnceDecideForOne(t *testing.T) {
	b := newBook(t)
	for range 10 {
		p := b.sold(stalls(fmt.Sprintf("B-%d", 1+b.number(`SELECT count(*) FROM orders`))))
		code := b.ticket(p, 1).Code
		var wg sync.WaitGroup
		wg.Go(func() { b.setState(p, onsale.TicketVoid) })
		wg.Go(func() {
			if _, err := b.scan(code, "A", ""); err != nil && onsale.CodeOf(err) != onsale.CodeTicketVoid {
				t.Error(err)
			}
		})
		wg.Wait() // Postgres has refused whatever is neither
	}
	if n := b.number(`SELECT count(*) FROM checkins c FULL JOIN tickets t USING (event, order_id, number) WHERE (t.admitted_at IS NULL) <> (c.gate IS NULL)`); n != 0 {
		t.Errorf("%d tickets and check-ins disagree", n)
	}
}

func TestTheGatesAreCountedBySection(t *testing.T) {
	b := newBook(t)
	p, gone := b.sold(stalls("A-1", "A-2"), floor(3)), b.sold(floor(2))
	for _, n := range []int{1, 3, 4} {
		if _, err := b.scan(b.ticket(p, n).Code, "A", ""); err != nil {
			t.Fatal(err)
		}
	}
	b.setState(gone, onsale.TicketVoid)
	sections, at, err := b.Admitted(t.Context(), "gala")
	want := []onsale.AdmittedSection{{ID: "floor", Tickets: 3, Admitted: 2}, {ID: "stalls", Tickets: 2, Admitted: 1}}
	if err != nil || !slices.Equal(sections, want) || at.IsZero() {
		t.Errorf("%+v at %v, %v; want %+v", sections, at, err, want)
	}
}

func TestVoidCodesAreListedForGatesThatCanNotAsk(t *testing.T) {
	b := newBook(t)
	void, blocked, moved, used := b.sold(floor(2)), b.sold(floor(1)), b.sold(floor(1)), b.sold(floor(1))
	if _, err := b.scan(b.ticket(used, 1).Code, "A", ""); err != nil {
		t.Fatal(err)
	}
	other := onsale.NewBuyerID()
	b.give(moved.Order.Ticket(1), moved.Buyer, other)
	b.give(moved.Order.Ticket(1), other, other)
	b.setState(void, onsale.TicketVoid)
	b.setState(blocked, onsale.TicketBlocked)
	want := map[onsale.TicketID]int{void.Order.Ticket(1): 1, void.Order.Ticket(2): 1, blocked.Order.Ticket(1): 1, moved.Order.Ticket(1): 2}
	for _, limit := range []int{1, 2, 4, 100} {
		got := map[onsale.TicketID]int{}
		after := onsale.TicketID("")
		for range 10 {
			codes, next, err := b.VoidCodes(t.Context(), "gala", limit, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range codes {
				got[c.Ticket] += c.Serial
			}
			if after = next; next == "" {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
	_, _, err := b.VoidCodes(t.Context(), "gala", 1, "x")
	assertCode(t, "a cursor that is none", err, onsale.CodeBadRequest)
}

// BenchmarkCheckIn is how many tickets a second the gates admit, all doors at once.
func BenchmarkCheckIn(b *testing.B) {
	book := newBook(b)
	hall := book.create(&onsale.Event{ID: "hall", Name: "Hall", StartsAt: time.Now(), Currency: "EUR",
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 1, Capacity: onsale.MaxCapacity}}})
	order := onsale.NewHoldID(hall.ID, 1).Order()
	codes := make([]string, b.N)
	for i := range codes {
		ticket := onsale.Ticket{ID: order.Ticket(i + 1), Event: hall.ID, Section: "floor", Serial: 1}
		ticket.Sign(book.ticketKey)
		codes[i] = ticket.Code
	}
	if _, err := book.pool.Exec(b.Context(), `INSERT INTO tickets (event, order_id, number, section, seat, owner, issued_at)
		SELECT 'hall', $1, n, 'floor', '', 'buy_x', now() FROM generate_series(1, $2) n`, string(order), b.N); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	b.SetParallelism(10)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := book.scan(codes[next.Add(1)-1], "A", ""); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "admitted/s")
}
