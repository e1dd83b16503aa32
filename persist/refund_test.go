package persist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"onsale"
)

func (b *book) askRefund(p onsale.Purchase, key string, ask onsale.RefundRequest) *onsale.RefundEntry {
	b.t.Helper()
	entry, err := b.AskRefund(b.t.Context(), p.Order, key, ask)
	if err != nil {
		b.t.Fatal(err)
	}
	return entry
}

func (b *book) endRefund(id onsale.RefundID, outcome onsale.RefundOutcome) *onsale.OrderNews {
	b.t.Helper()
	news, err := b.EndRefund(b.t.Context(), onsale.RefundResult{ID: id, Outcome: outcome, Reference: "re_" + string(id)[4:], At: time.Now()})
	if err != nil {
		b.t.Fatal(err)
	}
	return news
}

// ticketStates are an order's tickets' states, by number.
func (b *book) ticketStates(p onsale.Purchase) (states string) {
	b.t.Helper()
	if err := b.pool.QueryRow(b.t.Context(), `SELECT string_agg(left(state, 2), ' ' ORDER BY number) FROM tickets WHERE order_id = $1`, string(p.Order)).Scan(&states); err != nil {
		b.t.Fatal(err)
	}
	return states
}

func (b *book) wantRefused(what string, code onsale.Code, err error) {
	b.t.Helper()
	if onsale.CodeOf(err) != code {
		b.t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestWholeRefundEndsTheOrderAndGivesEverythingBack(t *testing.T) {
	b := newBook(t)
	p := b.sold(stalls("A-1", "A-2"), floor(3))
	entry := b.askRefund(p, "k", onsale.RefundRequest{Reason: "cancelled"})
	if entry.State != onsale.RefundStateDue || entry.Amount != p.Amount || len(entry.Tickets) != 5 || b.ticketStates(p) != "bl bl bl bl bl" {
		t.Fatalf("%+v, tickets %s", entry, b.ticketStates(p))
	}
	for range 2 { // a repeat tells the same
		news := b.endRefund(entry.ID, onsale.RefundMade)
		if news == nil || news.State != onsale.OrderRefunded || news.Reason != "cancelled" || len(news.Left) != 0 || onsale.Quantity(news.Lines) != 5 {
			t.Fatalf("%+v", news)
		}
	}
	if moves, err := b.History(t.Context(), p.Order); err != nil || moves[len(moves)-1].Actor != onsale.ActorOperator || moves[len(moves)-1].Reason != "cancelled" {
		t.Errorf("its history is %+v, %v", moves, err)
	}
	if s := b.ticketStates(p); s != "vo vo vo vo vo" {
		t.Errorf("tickets are %s", s)
	}
	if n := b.number(`SELECT count(*) FROM claims`) + b.number(`SELECT sum(claimed) FROM sections`); n != 0 {
		t.Errorf("%d is still claimed", n)
	}
	b.sold(stalls("A-1"), floor(5)) // anyone may have it
	_, err := b.AskRefund(t.Context(), p.Order, "k2", onsale.RefundRequest{})
	b.wantRefused("once more", onsale.CodeNotRefundable, err)
	if r := b.audit(); !r.OK() || r.Orders[onsale.OrderRefunded] != 1 {
		t.Error(r.Orders, r.Err())
	}
}

func TestRefundOfTicketsGivesThoseBackAndTheirPrice(t *testing.T) {
	b := newBook(t)
	p := b.sold(stalls("A-1", "A-2"), floor(3)) // tickets 1 and 2 are seats, 3 to 5 places
	entry := b.askRefund(p, "k", onsale.RefundRequest{Tickets: []int{4, 2}})
	if entry.Amount != 4000+2500 || !slices.Equal(entry.Tickets, []int{2, 4}) || b.ticketStates(p) != "va bl va bl va" {
		t.Fatalf("%+v, tickets %s", entry, b.ticketStates(p))
	}
	news := b.endRefund(entry.ID, onsale.RefundMade)
	if news.State != onsale.OrderTicketed || !sameLines(news.Left, []onsale.Line{{Section: "stalls", Quantity: 1, Seats: []string{"A-1"}}, {Section: "floor", Quantity: 2}}) {
		t.Errorf("%+v", news)
	}
	b.sold(stalls("A-2"), floor(5))
	view, err := b.StockView(t.Context(), b.event.ID)
	if err != nil || len(view.Orders) != 2 {
		t.Fatalf("%+v, %v", view, err)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
	// The last ticket takes what is left, and ends the order.
	entry = b.askRefund(p, "rest", onsale.RefundRequest{Tickets: []int{1, 3, 5}})
	if news := b.endRefund(entry.ID, onsale.RefundMade); news.State != onsale.OrderRefunded || entry.Amount != 4000+2*2500 {
		t.Errorf("%+v, %+v", entry, news)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestRefundOfMoneyAloneLeavesTheTickets(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(2))
	entry := b.askRefund(p, "k", onsale.RefundRequest{Amount: new(int64(500))})
	if news := b.endRefund(entry.ID, onsale.RefundMade); news.State != onsale.OrderTicketed || b.ticketStates(p) != "va va" || len(news.Left) != 0 {
		t.Errorf("%+v, tickets %s", news, b.ticketStates(p))
	}
	_, err := b.AskRefund(t.Context(), p.Order, "all", onsale.RefundRequest{Amount: new(int64(4500))})
	b.wantRefused("all the money, and the tickets too", onsale.CodeNotRefundable, err)
	if entry := b.askRefund(p, "rest", onsale.RefundRequest{}); entry.Amount != 4500 || len(entry.Tickets) != 2 {
		t.Errorf("the rest is %+v", entry)
	} else if news := b.endRefund(entry.ID, onsale.RefundMade); news.State != onsale.OrderRefunded {
		t.Errorf("%+v", news)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestThePlaceOfWhoeverWasAdmittedIsNotSoldAgain(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := b.sold(floor(2))
	if _, err := b.CheckIn(t.Context(), Scan{Code: b.ticket(p, 1).Code, Event: "gala", Gate: "A"}); err != nil {
		t.Fatal(err)
	}
	_, err := b.AskRefund(t.Context(), p.Order, "whole", onsale.RefundRequest{})
	b.wantRefused("the whole", onsale.CodeNotRefundable, err)
	_, err = b.AskRefund(t.Context(), p.Order, "used", onsale.RefundRequest{Tickets: []int{1}})
	b.wantRefused("the one that was used", onsale.CodeNotRefundable, err)
	b.askRefund(p, "unused", onsale.RefundRequest{Tickets: []int{2}})
}

func TestRefusedRefundLeavesTheTicketsValid(t *testing.T) {
	b := newBook(t)
	p := b.sold(stalls("A-1"), floor(1))
	entry := b.askRefund(p, "k", onsale.RefundRequest{})
	for range 2 {
		if news := b.endRefund(entry.ID, onsale.RefundRefused); news != nil {
			t.Errorf("a refusal tells %+v", news)
		}
	}
	if b.ticketStates(p) != "va va" || b.state(p.Order) != onsale.OrderTicketed || b.number(`SELECT paying_back FROM payments`) != 0 {
		t.Errorf("tickets %s, order %s", b.ticketStates(p), b.state(p.Order))
	}
	if news := b.endRefund(entry.ID, onsale.RefundMade); news != nil {
		t.Error("another answer counts after the first")
	}
	again := b.askRefund(p, "k2", onsale.RefundRequest{})
	b.endRefund(again.ID, onsale.RefundMade)
	if r := b.audit(); !r.OK() || b.state(p.Order) != onsale.OrderRefunded {
		t.Error(r.Err())
	}
}

func TestRefundAskedForTwiceUnderAKeyIsOne(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(4))
	var wg sync.WaitGroup
	ids := make([]onsale.RefundID, 8)
	for i := range ids {
		wg.Go(func() {
			entry, err := b.AskRefund(t.Context(), p.Order, "k", onsale.RefundRequest{Tickets: []int{1}})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = entry.ID
		})
	}
	wg.Wait()
	if slices.ContainsFunc(ids, func(id onsale.RefundID) bool { return id != ids[0] }) {
		t.Errorf("one key has %v", ids)
	}
	_, err := b.AskRefund(t.Context(), p.Order, "k", onsale.RefundRequest{Tickets: []int{2}})
	b.wantRefused("something else under it", onsale.CodeKeyReused, err)
	_, err = b.AskRefund(t.Context(), p.Order, "k2", onsale.RefundRequest{Tickets: []int{2}})
	b.wantRefused("another one while it is due", onsale.CodeNotRefundable, err)
}

func TestRefundThatCantBeMeantIsRefusedAndLeavesNoTrace(t *testing.T) {
	b := newBook(t)
	p, refused := b.sold(floor(2)), b.purchase(floor(1))
	b.claim(refused)
	b.finalise(declined(refused))
	for name, c := range map[string]struct {
		order onsale.OrderID
		key   string
		ask   onsale.RefundRequest
		code  onsale.Code
	}{
		"a ticket it hasn't":   {p.Order, "k", onsale.RefundRequest{Tickets: []int{3}}, onsale.CodeBadRequest},
		"a ticket twice":       {p.Order, "k", onsale.RefundRequest{Tickets: []int{1, 1}}, onsale.CodeBadRequest},
		"ticket 0":             {p.Order, "k", onsale.RefundRequest{Tickets: []int{0}}, onsale.CodeBadRequest},
		"both":                 {p.Order, "k", onsale.RefundRequest{Tickets: []int{1}, Amount: new(int64(5))}, onsale.CodeBadRequest},
		"nothing":              {p.Order, "k", onsale.RefundRequest{Amount: new(int64(0))}, onsale.CodeBadRequest},
		"no ticket":            {p.Order, "k", onsale.RefundRequest{Tickets: []int{}}, onsale.CodeBadRequest},
		"less than nothing":    {p.Order, "k", onsale.RefundRequest{Amount: new(int64(-1))}, onsale.CodeBadRequest},
		"more than there is":   {p.Order, "k", onsale.RefundRequest{Amount: new(int64(5001))}, onsale.CodeNotRefundable},
		"a reason with a line": {p.Order, "k", onsale.RefundRequest{Reason: "a\nb"}, onsale.CodeBadRequest},
		"no key":               {p.Order, "", onsale.RefundRequest{}, onsale.CodeBadRequest},
		"of an unpaid order":   {refused.Order, "k", onsale.RefundRequest{}, onsale.CodeNotRefundable},
		"of no order":          {b.purchase(floor(1)).Order, "k", onsale.RefundRequest{}, onsale.CodeUnknownOrder},
		"of nonsense":          {"nonsense", "k", onsale.RefundRequest{}, onsale.CodeUnknownOrder},
	} {
		_, err := b.AskRefund(t.Context(), c.order, c.key, c.ask)
		b.wantRefused(name, c.code, err)
	}
	if n := b.number(`SELECT count(*) FROM refunds`) + b.number(`SELECT count(*) FROM tickets WHERE state <> 'valid'`); n != 0 {
		t.Errorf("%d traces", n)
	}
}

// TestPostgresRefusesWhatNoRefundMayDo goes behind the code's back, at the constraints.
func TestPostgresRefusesWhatNoRefundMayDo(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(2))
	insert := func(id string, amount int64) string {
		return fmt.Sprintf(`INSERT INTO refunds (id, event, order_id, payment, asked_by, key, asked, tickets, amount, currency, reason, next_at, asked_at)
			VALUES ('ref_%s', 'gala', '%s', '%s', 'operator', '%s', '{}', '{}', %d, 'EUR', '', now(), now())`, id, p.Order, captured(p).Reference, id, amount)
	}
	first := b.askRefund(p, "k", onsale.RefundRequest{Amount: new(int64(3000))})
	for name, statement := range map[string]string{
		"another one that is due": insert("a", 1),
		"no such payment":         `INSERT INTO refunds SELECT 'ref_x', event, order_id, 'ch_none', asked_by, 'x', asked, tickets, amount, currency, reason FROM refunds`,
		"another amount":          `UPDATE refunds SET amount = 1`,
		"forgetting":              `DELETE FROM refunds`,
		"told and due":            `UPDATE refunds SET told_at = now()`,
		"made without an end":     `UPDATE refunds SET state = 'made'`,
		"what was asked for":      `UPDATE refunds SET asked = '{"amount":1}'`,
		"why":                     `UPDATE refunds SET reason = 'another'`,
		"when":                    `UPDATE refunds SET asked_at = now()`,
		"failing before it ended": `UPDATE refunds SET state = 'failed', ended_at = now()`,
		"never taking it":         `UPDATE refunds SET next_at = 'infinity'`,
		"more than was captured":  `UPDATE payments SET paying_back = amount + 1`,
		"less than nothing":       `UPDATE payments SET paying_back = -1`,
		"a state that is none":    `UPDATE tickets SET state = 'lost'`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	b.endRefund(first.ID, onsale.RefundMade)
	if _, err := b.pool.Exec(t.Context(), insert("b", 2001)); err == nil {
		t.Error("more than was captured, in two refunds, is not refused")
	}
	if err := b.RefundTold(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	for name, statement := range map[string]string{
		"refused afterwards":     `UPDATE refunds SET state = 'refused'`,
		"due again":              `UPDATE refunds SET state = 'due', ended_at = NULL, told_at = NULL`,
		"another reference":      `UPDATE refunds SET reference = 're_other'`,
		"a refusal, though made": `UPDATE refunds SET refusal = 'no'`,
		"another end":            `UPDATE refunds SET ended_at = now()`,
		"not told":               `UPDATE refunds SET told_at = NULL`,
		"told again":             `UPDATE refunds SET told_at = now()`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("of what is made, %s: not refused", name)
		}
	}
}

func TestCaptureThatBoughtNothingIsPaidBackByItself(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(1))
	second, unknown := captured(p), captured(b.purchase(floor(1)))
	second.Reference = "ch_second"
	for range 2 { // a repeat makes no second refund
		b.finalise(second, unknown)
	}
	due, err := b.TakeRefunds(t.Context(), 10, time.Minute)
	if err != nil || len(due) != 2 {
		t.Fatalf("%+v, %v", due, err)
	}
	if r := b.audit(); !r.OK() || len(r.Unchecked) == 0 {
		t.Errorf("what is due is pending: %v, unchecked %v", r.Err(), r.Unchecked)
	}
	for _, d := range due {
		if d.Amount != 2500 || d.Result != nil || d.Attempts != 1 || d.Reference != "ch_second" && d.Reference != unknown.Reference {
			t.Errorf("%+v", d)
		}
		if news := b.endRefund(d.ID, onsale.RefundMade); news != nil {
			t.Errorf("it tells %+v", news)
		}
	}
	b.finalise(second, unknown)
	if r := b.audit(); !r.OK() || r.DoubleCharges != 0 || b.state(p.Order) != onsale.OrderTicketed {
		t.Error(r.DoubleCharges, r.Err())
	}
	if n := b.number(`SELECT count(*) FROM refunds WHERE told_at IS NULL`); n != 0 {
		t.Errorf("%d wait to be told", n)
	}
}

func TestRefundIsOneWorkersUntilItsLeaseEnds(t *testing.T) {
	b := newBook(t)
	var want []onsale.RefundID
	for range 6 {
		want = append(want, b.askRefund(b.sold(floor(1)), "k", onsale.RefundRequest{}).ID)
	}
	var mu sync.Mutex
	var got []onsale.RefundID
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			due, err := b.TakeRefunds(context.WithoutCancel(t.Context()), 2, time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, d := range due {
				got = append(got, d.ID)
			}
		})
	}
	wg.Wait()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("four workers have %v, want each of %v once", got, want)
	}
	if err := b.PutRefundBack(t.Context(), want[3], 0); err != nil {
		t.Fatal(err)
	}
	due, err := b.TakeRefunds(t.Context(), 9, 0) // a lease that has ended
	if err != nil || len(due) != 1 || due[0].ID != want[3] || due[0].Attempts != 2 {
		t.Errorf("%+v, %v", due, err)
	}
}

func TestRefundThatIsMadeComesBackUntilItIsTold(t *testing.T) {
	b := newBook(t)
	entry := b.askRefund(b.sold(floor(1)), "k", onsale.RefundRequest{})
	b.endRefund(entry.ID, onsale.RefundMade)
	for range 2 {
		due, err := b.TakeRefunds(t.Context(), 9, 0)
		if err != nil || len(due) != 1 || due[0].Result == nil || due[0].Result.Outcome != onsale.RefundMade {
			t.Fatalf("%+v, %v", due, err)
		}
	}
	if err := b.RefundTold(t.Context(), entry.ID); err != nil {
		t.Fatal(err)
	}
	if due, err := b.TakeRefunds(t.Context(), 9, 0); err != nil || len(due) != 0 {
		t.Errorf("%+v, %v", due, err)
	}
	if _, err := b.EndRefund(t.Context(), onsale.RefundResult{ID: onsale.NewRefundID(), Outcome: onsale.RefundMade}); err == nil || errors.Is(err, errOvertaken) {
		t.Errorf("a refund that nobody asked for ends: %v", err)
	}
}
