package persist

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"onsale"
)

func (b *book) offer(id onsale.TicketID, owner onsale.BuyerID) *onsale.Transfer {
	b.t.Helper()
	transfer, err := b.Offer(b.t.Context(), id, owner, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return transfer
}

// give takes a ticket from one buyer to another.
func (b *book) give(id onsale.TicketID, from, to onsale.BuyerID) onsale.Ticket {
	b.t.Helper()
	ticket, err := b.Accept(b.t.Context(), b.offer(id, from).Token, to)
	if err != nil {
		b.t.Fatal(err)
	}
	return *ticket
}

func TestATransferredTicketIsTheNewOwnersAndTheOldCodeIsVoid(t *testing.T) {
	b := newBook(t)
	p, friend := b.sold(stalls("A-1"), floor(1)), onsale.NewBuyerID()
	old := b.ticket(p, 1)
	offer := b.offer(old.ID, p.Buyer)
	if offer.State != onsale.TransferOffered || !offer.Token.Valid() || offer.ExpiresAt.Sub(offer.OfferedAt) != onsale.TransferTime {
		t.Errorf("offer %+v", offer)
	}
	if n := b.number(`SELECT count(*) FROM transfers t WHERE t::text LIKE '%' || $1 || '%'`, string(offer.Token)); n != 0 {
		t.Error("the token itself is kept")
	}
	ticket, err := b.Accept(t.Context(), offer.Token, friend)
	if err != nil || ticket.Owner != friend || ticket.Serial != 2 || ticket.Code == old.Code || ticket.ID != old.ID || ticket.Seat != "A-1" {
		t.Fatalf("%+v, %v", ticket, err)
	}
	_, err = b.scan(old.Code, "A", "")
	assertCode(t, "the old code at the gate", err, onsale.CodeTicketReissued)
	_, err = b.Ticket(t.Context(), old.ID, p.Buyer)
	assertCode(t, "the first buyer's look", err, onsale.CodeUnknownTicket)
	if mine, _, err := b.TicketsOf(t.Context(), friend, 10, ""); err != nil || len(mine) != 1 || !reflect.DeepEqual(mine[0], *ticket) {
		t.Errorf("the friend owns %+v, %v", mine, err)
	}
	if theirs, _, err := b.TicketsOf(t.Context(), p.Buyer, 10, ""); err != nil || len(theirs) != 1 {
		t.Errorf("the first buyer owns %+v, %v", theirs, err)
	}
	if o, err := b.Order(t.Context(), p.Order); err != nil || o.Buyer != p.Buyer {
		t.Errorf("the order is %s's, %v", o.Buyer, err)
	}
	back := b.give(ticket.ID, friend, p.Buyer)
	if _, err := b.scan(back.Code, "A", ""); err != nil || back.Serial != 3 {
		t.Errorf("serial %d, %v", back.Serial, err)
	}
	if n := b.number(`SELECT count(*) FROM ticket_history WHERE number = 1 AND (serial = 2 AND owner = $1 OR serial = 3 AND owner = $2)`, string(friend), string(p.Buyer)); n != 2 {
		t.Errorf("%d moves are in the history", n)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestManyWhoAcceptAtOnceAreOneOwner(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(1))
	token := b.offer(p.Order.Ticket(1), p.Buyer).Token
	var won, ended atomic.Int64
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			_, err := b.Accept(t.Context(), token, onsale.NewBuyerID())
			switch onsale.CodeOf(err) {
			case "":
				won.Add(1)
			case onsale.CodeTransferEnded:
				ended.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	if wg.Wait(); won.Load() != 1 || ended.Load() != 29 || b.ticket(p, 1).Serial != 2 {
		t.Errorf("%d have it, %d don't, serial %d", won.Load(), ended.Load(), b.ticket(p, 1).Serial)
	}
}

func TestARepeatedStepOfATransferChangesNothing(t *testing.T) {
	b := newBook(t)
	p, friend := b.sold(floor(1)), onsale.NewBuyerID()
	id := p.Order.Ticket(1)
	first, err := b.Offer(t.Context(), id, p.Buyer, "key")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Offer(t.Context(), id, p.Buyer, "key"); err != nil || *again != *first {
		t.Errorf("offered again: %+v, %v; want %+v", again, err, first)
	}
	taken, err := b.Accept(t.Context(), first.Token, friend)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Accept(t.Context(), first.Token, friend); err != nil || !reflect.DeepEqual(again, taken) {
		t.Errorf("accepted again: %+v, %v; want %+v", again, err, taken)
	}
	if again, err := b.Offer(t.Context(), id, p.Buyer, "key"); err != nil || again.State != onsale.TransferAccepted || again.Token != first.Token {
		t.Errorf("offered again, long after: %+v, %v", again, err)
	}
	b.give(id, friend, onsale.NewBuyerID())
	_, err = b.Accept(t.Context(), first.Token, friend)
	assertCode(t, "accepted again, given on since", err, onsale.CodeTransferEnded)
}

func TestAnOfferEndsOnce(t *testing.T) {
	b := newBook(t)
	p, friend := b.sold(floor(1)), onsale.NewBuyerID()
	id := p.Order.Ticket(1)
	cancelled := b.offer(id, p.Buyer).Token
	for range 2 { // a repeat is answered the same
		if err := b.CancelOffer(t.Context(), id, p.Buyer); err != nil {
			t.Fatal(err)
		}
	}
	replaced := b.offer(id, p.Buyer).Token
	expired := b.offer(id, p.Buyer).Token
	b.corrupt(`UPDATE transfers SET offered_at = offered_at - interval '8 days', expires_at = now() WHERE state = 'offered'`)
	for what, token := range map[string]onsale.TransferToken{"cancelled": cancelled, "replaced": replaced, "expired": expired} {
		_, err := b.Accept(t.Context(), token, friend)
		assertCode(t, what, err, onsale.CodeTransferEnded)
	}
	for _, token := range []onsale.TransferToken{onsale.NewTransferToken(), "x", ""} {
		_, err := b.Accept(t.Context(), token, friend)
		assertCode(t, "never offered", err, onsale.CodeUnknownTransfer)
	}
	if b.ticket(p, 1).Serial != 1 {
		t.Error("a code was issued")
	}
	if ticket := b.give(id, p.Buyer, p.Buyer); ticket.Serial != 2 { // to themselves: the code was lost
		t.Errorf("serial %d", ticket.Serial)
	}
	var refused *pgconn.PgError
	for _, statement := range []string{`UPDATE transfers SET state = 'offered', ended_at = NULL, to_owner = NULL`, `UPDATE transfers SET state = 'cancelled', to_owner = NULL`,
		`DELETE FROM transfers`, `INSERT INTO transfers SELECT sha256('y'), event, order_id, number, serial, state, from_owner, to_owner, offered_at, expires_at, ended_at FROM transfers WHERE state = 'accepted'`} {
		if _, err := b.pool.Exec(t.Context(), statement); !errors.As(err, &refused) || refused.Code[:2] != classIntegrityViolation {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestOnlyATicketThatCanBeUsedChangesHands(t *testing.T) {
	b := newBook(t)
	for _, c := range []struct {
		what  string
		spoil func(p onsale.Purchase)
		want  onsale.Code
	}{
		{"blocked", func(p onsale.Purchase) { b.setState(p, onsale.TicketBlocked) }, onsale.CodeTicketBlocked},
		{"void", func(p onsale.Purchase) { b.setState(p, onsale.TicketVoid) }, onsale.CodeTicketVoid},
		{"admitted", func(p onsale.Purchase) {
			if _, err := b.scan(b.ticket(p, 1).Code, "A", ""); err != nil {
				t.Fatal(err)
			}
		}, onsale.CodeAlreadyAdmitted},
	} {
		p := b.sold(floor(1))
		token := b.offer(p.Order.Ticket(1), p.Buyer).Token
		c.spoil(p)
		_, err := b.Accept(t.Context(), token, onsale.NewBuyerID())
		assertCode(t, c.what+", accepted", err, c.want)
		_, err = b.Offer(t.Context(), p.Order.Ticket(1), p.Buyer, "")
		assertCode(t, c.what+", offered", err, c.want)
		if ticket := b.ticket(p, 1); ticket.Owner != p.Buyer || ticket.Serial != 1 {
			t.Errorf("%s: %+v", c.what, ticket)
		}
	}
}

func TestAnothersTicketCanNeitherBeOfferedNorKept(t *testing.T) {
	b := newBook(t)
	p, thief := b.sold(floor(1)), onsale.NewBuyerID()
	id := p.Order.Ticket(1)
	token := b.offer(id, p.Buyer).Token
	for _, of := range []onsale.TicketID{id, p.Order.Ticket(2), "x"} {
		_, err := b.Offer(t.Context(), of, thief, "key")
		assertCode(t, "offered", err, onsale.CodeUnknownTicket)
		assertCode(t, "cancelled", b.CancelOffer(t.Context(), of, thief), onsale.CodeUnknownTicket)
	}
	if _, err := b.Accept(t.Context(), token, onsale.NewBuyerID()); err != nil {
		t.Error("the offer ended: ", err)
	}
	assertCode(t, "cancelled by who had it", b.CancelOffer(t.Context(), id, p.Buyer), onsale.CodeUnknownTicket)
}

func TestATicketCanBeOfferedOnlySoOften(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(1))
	for range onsale.MaxOffers {
		b.offer(p.Order.Ticket(1), p.Buyer)
	}
	_, err := b.Offer(t.Context(), p.Order.Ticket(1), p.Buyer, "")
	assertCode(t, "once more", err, onsale.CodeTransferLimit)
}

func TestAnAcceptedTicketOfARefundedOrderIsVoid(t *testing.T) {
	b := newBook(t)
	p, friend := b.sold(floor(1)), onsale.NewBuyerID()
	mine := b.give(p.Order.Ticket(1), p.Buyer, friend)
	b.setState(p, onsale.TicketVoid)
	_, err := b.scan(mine.Code, "A", "")
	assertCode(t, "at the gate", err, onsale.CodeTicketVoid)
	if ticket, err := b.Ticket(t.Context(), mine.ID, friend); err != nil || ticket.State != onsale.TicketVoid || ticket.Code != "" {
		t.Errorf("the friend sees %+v, %v", ticket, err)
	}
}

func TestAcceptingAndAdmittingAtOnceLeaveOneCodeThatWorked(t *testing.T) {
	b := newBook(t)
	for range 10 {
		p := b.sold(floor(1))
		ticket, token := b.ticket(p, 1), b.offer(p.Order.Ticket(1), p.Buyer).Token
		var accepted, admitted error
		var wg sync.WaitGroup
		wg.Go(func() { _, accepted = b.Accept(t.Context(), token, onsale.NewBuyerID()) })
		wg.Go(func() { _, admitted = b.scan(ticket.Code, "A", "") })
		if wg.Wait(); (accepted == nil) == (admitted == nil) {
			t.Errorf("accepted: %v, admitted: %v", accepted, admitted)
		}
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}
