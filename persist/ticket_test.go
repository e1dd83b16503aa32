package persist

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"onsale"
)

// sold buys admissions and returns the purchase, its tickets issued.
func (b *book) sold(lines ...onsale.Line) onsale.Purchase {
	b.t.Helper()
	p := b.purchase(lines...)
	b.claim(p)
	b.finalise(captured(p))
	return p
}

// ticket is the order's n-th, as its owner sees it.
func (b *book) ticket(p onsale.Purchase, n int) onsale.Ticket {
	b.t.Helper()
	tickets, err := b.Tickets(b.t.Context(), p.Order)
	if err != nil || len(tickets) < n {
		b.t.Fatalf("%d tickets, %v", len(tickets), err)
	}
	return tickets[n-1]
}

// setState does to an order's tickets what a refund does, in a transaction of its own.
func (b *book) setState(p onsale.Purchase, state onsale.TicketState) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), `UPDATE tickets SET state = $2 WHERE order_id = $1`, string(p.Order), string(state)); err != nil {
		b.t.Fatal(err)
	}
}

// assertCode holds an error to a refusal's code, "" for none.
func assertCode(t testing.TB, what string, err error, want onsale.Code) {
	t.Helper()
	if onsale.CodeOf(err) != want {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

func TestPostgresKnowsTheMovesOfATicketThatTheDesignKnows(t *testing.T) {
	b := newBook(t)
	rows, err := b.pool.Query(t.Context(), `SELECT from_state, to_state FROM ticket_transitions`)
	if err != nil {
		t.Fatal(err)
	}
	known, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ From, To onsale.TicketState }])
	if err != nil || len(known) != 4 {
		t.Fatalf("%v, %v", known, err)
	}
	for _, move := range known {
		if !move.From.CanBecome(move.To) {
			t.Errorf("Postgres lets %s become %s", move.From, move.To)
		}
	}
}

// TestPostgresRefusesEveryWrongMoveOfATicket tries each move that must be impossible,
// and some that must not, on tickets of every state.
func TestPostgresRefusesEveryWrongMoveOfATicket(t *testing.T) {
	b := newBook(t)
	p := b.sold(stalls("A-1"), floor(3)) // 1 valid, 2 blocked, 3 void, 4 used
	for n, state := range map[int]onsale.TicketState{2: onsale.TicketBlocked, 3: onsale.TicketVoid} {
		if _, err := b.pool.Exec(t.Context(), `UPDATE tickets SET state = $2 WHERE number = $1`, n, string(state)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.CheckIn(t.Context(), Scan{Code: b.ticket(p, 4).Code, Gate: "A"}); err != nil {
		t.Fatal(err)
	}
	const checkin = `WITH t AS (UPDATE tickets SET admitted_at = now() WHERE number = %d RETURNING *)
		INSERT INTO checkins SELECT event, order_id, number, serial, 'B', '', now() FROM t`
	for statement, legal := range map[string]bool{
		`UPDATE tickets SET state = 'blocked' WHERE number = 1`:                              true,
		`UPDATE tickets SET state = 'valid' WHERE number = 2`:                                true,
		`UPDATE tickets SET state = 'void' WHERE number = 2`:                                 true,
		`UPDATE tickets SET state = 'blocked' WHERE number = 4`:                              true, // a refund of what was used
		`UPDATE tickets SET serial = 2, owner = 'buy_x', issued_at = now() WHERE number = 1`: true,
		fmt.Sprintf(checkin, 1):                                                                                true,
		`UPDATE tickets SET state = state`:                                                                     true,
		`UPDATE tickets SET state = 'valid' WHERE number = 3`:                                                  false,
		`UPDATE tickets SET state = 'blocked' WHERE number = 3`:                                                false,
		`UPDATE tickets SET state = 'gone' WHERE number = 1`:                                                   false,
		`UPDATE tickets SET serial = 3 WHERE number = 1`:                                                       false,
		`UPDATE tickets SET serial = 2 WHERE number = 2`:                                                       false,
		`UPDATE tickets SET serial = 2 WHERE number = 4`:                                                       false,
		`UPDATE tickets SET serial = 2, state = 'blocked' WHERE number = 1`:                                    false,
		`UPDATE tickets SET owner = 'buy_x' WHERE number = 1`:                                                  false,
		`UPDATE tickets SET issued_at = now() WHERE number = 1`:                                                false,
		`UPDATE tickets SET seat = 'A-2' WHERE number = 1`:                                                     false,
		`UPDATE tickets SET number = 9 WHERE number = 1`:                                                       false,
		`UPDATE tickets SET admitted_at = now() WHERE number = 1`:                                              false, // without a check-in
		`UPDATE tickets SET admitted_at = NULL WHERE number = 4`:                                               false,
		`UPDATE tickets SET admitted_at = now() WHERE number = 4`:                                              false,
		fmt.Sprintf(checkin, 2):                                                                                false,
		fmt.Sprintf(checkin, 3):                                                                                false,
		fmt.Sprintf(checkin, 4):                                                                                false,
		`INSERT INTO checkins SELECT event, order_id, number, 1, 'B', '', now() FROM tickets WHERE number = 1`: false, // without its ticket
		`DELETE FROM tickets WHERE number = 1`:                                                                 false,
		`DELETE FROM checkins`:                                                                                 false,
		`UPDATE checkins SET gate = 'B'`:                                                                       false,
		`UPDATE ticket_history SET owner = ''`:                                                                 false,
		`TRUNCATE ticket_history`:                                                                              false,
	} {
		tx, err := b.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec(t.Context(), statement)
		if rollback := tx.Rollback(t.Context()); rollback != nil {
			t.Fatal(rollback)
		}
		var refused *pgconn.PgError
		if legal != (err == nil) || (err != nil && !errors.As(err, &refused)) || (refused != nil && refused.Code[:2] != classIntegrityViolation) {
			t.Errorf("%s: legal %t, got %v", statement, legal, err)
		}
	}
}

func TestPagesOfTicketsGiveEachOnceTheLatestFirst(t *testing.T) {
	b := newBook(t)
	buyer := onsale.NewBuyerID()
	var first, second onsale.Purchase
	for i, p := range []*onsale.Purchase{&first, &second} {
		*p = b.purchase(floor(2), stalls(fmt.Sprintf("A-%d", i+1)))
		p.Buyer = buyer
		b.claim(*p)
		b.finalise(captured(*p))
	}
	b.sold(floor(1)) // another's
	b.setState(first, onsale.TicketVoid)
	for _, limit := range []int{1, 2, 5, 6, 100} {
		var got []onsale.TicketID
		cursor := ""
		for pages := 0; pages < 10; pages++ {
			page, next, err := b.TicketsOf(t.Context(), buyer, limit, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, ticket := range page {
				got = append(got, ticket.ID)
				if (ticket.Code == "") != (ticket.State == onsale.TicketVoid) || ticket.Owner != buyer {
					t.Errorf("ticket %+v", ticket)
				}
			}
			if cursor = next; next == "" {
				break
			}
		}
		want := []onsale.TicketID{second.Order.Ticket(1), second.Order.Ticket(2), second.Order.Ticket(3), first.Order.Ticket(1), first.Order.Ticket(2), first.Order.Ticket(3)}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: got %v\nwant %v", limit, got, want)
		}
	}
	for _, cursor := range []string{"x", "!!", "MSAy", "Zm9vIG9yZF9nYWxh"} {
		_, _, err := b.TicketsOf(t.Context(), buyer, 10, cursor)
		assertCode(t, "cursor "+cursor, err, onsale.CodeBadRequest)
	}
}

func TestATicketIsShownToItsOwnerAlone(t *testing.T) {
	b := newBook(t)
	p := b.sold(floor(1))
	if ticket, err := b.Ticket(t.Context(), p.Order.Ticket(1), p.Buyer); err != nil || ticket.Code == "" || ticket.Serial != 1 || ticket.State != onsale.TicketValid {
		t.Errorf("%+v, %v", ticket, err)
	}
	for what, ask := range map[string]struct {
		id    onsale.TicketID
		buyer onsale.BuyerID
	}{
		"another's": {p.Order.Ticket(1), onsale.NewBuyerID()}, "one that never was": {p.Order.Ticket(2), p.Buyer}, "no id": {"key", p.Buyer},
	} {
		_, err := b.Ticket(t.Context(), ask.id, ask.buyer)
		assertCode(t, what, err, onsale.CodeUnknownTicket)
	}
}
