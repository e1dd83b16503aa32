package persist

// The history of orders: one row a move, written by Postgres itself in the
// transaction of the move, so that there is no move without its row and no row
// without its move. It can't be changed: not by a statement on the whole, not by one
// on a month's partition.

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/lifecycle"
)

const (
	sayActor    = `SELECT set_config('onsale.actor', $1, true)` // true: until the transaction ends, so a pooler may stand between
	readHistory = `SELECT from_state, to_state, reason, actor, at FROM order_history WHERE order_id = $1 ORDER BY seq`
	makeMonths  = `SELECT make_history_months(now(), $1)`
	boundLocks  = `SELECT set_config('lock_timeout', $1, true)`
)

type actorKey struct{}

// As returns a context in which whatever moves an order does so in the name of the
// actor. Without it that is settlement.
func As(ctx context.Context, actor onsale.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// introduce tells Postgres in whose name the transaction moves orders.
func introduce(ctx context.Context, tx pgx.Tx) error {
	actor, ok := ctx.Value(actorKey{}).(onsale.Actor)
	if !ok || actor == onsale.ActorSettlement {
		return nil
	}
	_, err := tx.Exec(ctx, sayActor, string(actor))
	return err
}

// History returns the moves of an order, oldest first, or refuses with
// CodeUnknownOrder if the book has no such order.
func (s *Store) History(ctx context.Context, order onsale.OrderID) ([]onsale.OrderMove, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, readHistory, string(order))
	if err != nil {
		return nil, failed("read the history of "+string(order), err)
	}
	moves, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m onsale.OrderMove, err error) {
		err = row.Scan(&m.From, &m.To, &m.Reason, &m.Actor, &m.At)
		m.At = m.At.UTC()
		return m, err
	})
	if err != nil {
		return nil, failed("read the history of "+string(order), err)
	}
	if len(moves) == 0 {
		return nil, unknownOrder()
	}
	return moves, nil
}

const (
	// historyMonths is how many months ahead of this one have a partition.
	historyMonths = 2
	// historianEvery is how often the historian looks: a month is long.
	historianEvery = time.Hour
	// historianLockWait is how long a new month may wait for readers, and so make others wait.
	historianLockWait = "2s"
)

// Historian sees to it that the next months of the history have their partitions.
// Several at once are safe. Should none run for months, rows go to the default
// partition, and move when their month is made.
type Historian struct {
	store *Store
	log   *slog.Logger
	group lifecycle.Group
}

// NewHistorian returns a historian that has not started.
func NewHistorian(store *Store, log *slog.Logger) *Historian {
	return &Historian{store: store, log: log}
}

// Start begins to look: now, and every historianEvery.
func (h *Historian) Start(ctx context.Context) error {
	h.group.Go(ctx, func(ctx context.Context) {
		h.look(ctx)
		lifecycle.Every(ctx, historianEvery, h.look)
	})
	return nil
}

func (h *Historian) look(ctx context.Context) {
	if made, err := h.store.makeMonths(ctx); err != nil && ctx.Err() == nil {
		h.log.Warn("the next months of the history could not be made; it is tried again", "error", err)
	} else if made > 0 {
		h.log.Info("months of the history made", "months", made)
	}
}

// Stop ends a look under way and returns.
func (h *Historian) Stop(ctx context.Context) error { return h.group.Stop(ctx) }

// makeMonths makes the missing partitions and returns how many there were.
func (s *Store) makeMonths(ctx context.Context) (made int, err error) {
	err = s.inTx(ctx, "make the months of the history", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, boundLocks, historianLockWait); err != nil {
			return err
		}
		return tx.QueryRow(ctx, makeMonths, historyMonths).Scan(&made)
	})
	if err != nil {
		return 0, fmt.Errorf("history: %w", err)
	}
	return made, nil
}
