package persist

import (
	"context"

	"onsale"
)

// OrdersByID returns those of the orders that exist.
func (s *Store) OrdersByID(ctx context.Context, ids []onsale.OrderID) (map[onsale.OrderID]onsale.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	rows, err := s.pool.Query(ctx, readBooked, texts)
	if err != nil {
		return nil, failed("read orders", err)
	}
	booked := map[onsale.OrderID]*bookedOrder{}
	if err := collectBooked(rows, booked); err != nil {
		return nil, failed("read orders", err)
	}
	orders := make(map[onsale.OrderID]onsale.Order, len(booked))
	for id, o := range booked {
		orders[id] = o.Order
	}
	return orders, nil
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
