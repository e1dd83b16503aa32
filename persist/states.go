package persist

import (
	"context"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// States returns the states of those of the orders that exist.
func (s *Store) States(ctx context.Context, ids []onsale.OrderID) (map[onsale.OrderID]onsale.OrderState, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	rows, err := s.pool.Query(ctx, `SELECT id, state FROM orders WHERE id = ANY($1)`, texts)
	if err != nil {
		return nil, failed("read the states of orders", err)
	}
	states := make(map[onsale.OrderID]onsale.OrderState, len(ids))
	var id onsale.OrderID
	var state onsale.OrderState
	if _, err := pgx.ForEachRow(rows, []any{&id, &state}, func() error { states[id] = state; return nil }); err != nil {
		return nil, failed("read the states of orders", err)
	}
	return states, nil
}

// OpenOrders is how many orders of an event have not come to their end yet.
func (s *Store) OpenOrders(ctx context.Context, event onsale.EventID) (open int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM orders WHERE event = $1 AND state IN ('accepted', 'claimed', 'paid')`, string(event)).Scan(&open)
	if err != nil {
		return 0, failed("count the open orders", err)
	}
	return open, nil
}
