package persist

import (
	"context"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// MaxVoidPage is the longest page of void codes.
const MaxVoidPage = 10_000

// VoidCodes returns a page of an event's codes that are signed and admit nobody, by the id
// of their order and their number: 1 to MaxVoidPage of them, after the given ticket, or from
// the start if it is "". next is "" on the last page. A ticket that is blocked is on the list
// as long as it is; one that has been admitted is not.
func (s *Store) VoidCodes(ctx context.Context, event onsale.EventID, limit int, after onsale.TicketID) (codes []onsale.VoidCode, next onsale.TicketID, err error) {
	limit = min(max(limit, 1), MaxVoidPage)
	row, ok := rowOf(after)
	if after != "" && !ok {
		return nil, "", onsale.Refuse(onsale.CodeBadRequest, "the cursor is not one that a page of void codes ended with: leave it out to start again")
	}
	doing := "list the void codes of " + string(event)
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT order_id, number, CASE state WHEN 'valid' THEN serial - 1 ELSE serial END FROM tickets
		WHERE event = $1 AND (state <> 'valid' OR serial > 1) AND (order_id, number) > ($2, $3)
		ORDER BY order_id, number LIMIT $4`, string(event), row.order, row.number, limit+1)
	if err != nil {
		return nil, "", failed(doing, err)
	}
	codes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c onsale.VoidCode, err error) {
		var order onsale.OrderID
		var number int
		err = row.Scan(&order, &number, &c.Serial)
		c.Ticket = order.Ticket(number)
		return c, err
	})
	if err != nil {
		return nil, "", failed(doing, err)
	}
	if len(codes) > limit {
		codes = codes[:limit]
		next = codes[limit-1].Ticket
	}
	return codes, next, nil
}
