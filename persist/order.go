package persist

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"onsale"
)

const (
	// MaxOrdersPage is the longest page of orders.
	MaxOrdersPage = 100

	orderColumnsRead = `SELECT id, event, buyer, state, reason, lines, amount, currency, accepted_at, updated_at FROM orders `
	pageOfOrders     = orderColumnsRead + `WHERE buyer = $1 AND ($2::timestamptz IS NULL OR (accepted_at, id) < ($2, $3))
		ORDER BY accepted_at DESC, id DESC LIMIT $4`
)

// Order returns an order, or refuses with CodeUnknownOrder if the book has none of
// that id: it may still be on its way here.
func (s *Store) Order(ctx context.Context, id onsale.OrderID) (*onsale.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, orderColumnsRead+`WHERE id = $1`, string(id))
	if err != nil {
		return nil, failed("read order "+string(id), err)
	}
	o, err := pgx.CollectExactlyOneRow(rows, scanOrder)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, unknownOrder()
	}
	if err != nil {
		return nil, failed("read order "+string(id), err)
	}
	return &o, nil
}

// Orders returns a page of a buyer's orders, newest first: 1 to MaxOrdersPage of
// them, from the cursor on that the page before returned, or from the start if it
// is "". next is "" on the last page. A cursor that isn't one is refused with
// CodeBadRequest. The page may come from a replica, and be maxReplicaAge old.
func (s *Store) Orders(ctx context.Context, buyer onsale.BuyerID, limit int, cursor string) (orders []onsale.Order, next string, err error) {
	limit = min(max(limit, 1), MaxOrdersPage)
	after, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err = s.replicas.read(ctx, func(ctx context.Context, from *pgxpool.Pool) error {
		// One more than the page tells whether there is a next one.
		rows, err := from.Query(ctx, pageOfOrders, string(buyer), after.accepted, after.id, limit+1)
		if err == nil {
			orders, err = pgx.CollectRows(rows, scanOrder)
		}
		return err
	})
	if err != nil {
		return nil, "", failed("list the orders of a buyer", err)
	}
	if len(orders) > limit {
		orders = orders[:limit]
		next = formatCursor(&orders[limit-1])
	}
	return orders, next, nil
}

// position is where a page of orders begins.
type position struct {
	accepted *time.Time // nil: at the start
	id       string
}

// A cursor is the last order of the page before, as text that promises nothing.
func formatCursor(last *onsale.Order) string {
	text := strconv.FormatInt(last.AcceptedAt.UnixMicro(), 36) + " " + string(last.ID)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func parseCursor(cursor string) (position, error) {
	if cursor == "" {
		return position{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	micros, id, ok := strings.Cut(string(text), " ")
	n, numberErr := strconv.ParseInt(micros, 36, 64)
	_, _, isOrder := onsale.OrderID(id).Parse()
	if err != nil || numberErr != nil || !ok || !isOrder {
		return position{}, onsale.Refuse(onsale.CodeBadRequest, "the cursor is not one that a page of orders ended with: leave it out to start again")
	}
	at := time.UnixMicro(n)
	return position{accepted: &at, id: id}, nil
}

func scanOrder(row pgx.CollectableRow) (onsale.Order, error) {
	var o onsale.Order
	err := row.Scan(&o.ID, &o.Event, &o.Buyer, &o.State, &o.Reason, &o.Lines, &o.Amount, &o.Currency, &o.AcceptedAt, &o.UpdatedAt)
	o.Hold, o.AcceptedAt, o.UpdatedAt = o.ID.Hold(), o.AcceptedAt.UTC(), o.UpdatedAt.UTC()
	return o, err
}

func unknownOrder() error {
	return onsale.Refuse(onsale.CodeUnknownOrder, "there is no such order of yours")
}
