package persist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"onsale"
)

const eventColumns = `SELECT definition, sale, epoch FROM events `

// CreateEvent completes e and stores it as a draft, with epoch 0: its stock
// has never been laid. A repeat with the same content is fine and returns the event as it is by now; another content
// under the same id is refused with CodeEventExists, one that can't be sold with
// CodeBadEvent.
func (s *Store) CreateEvent(ctx context.Context, e *onsale.Event) (*onsale.Event, error) {
	if err := e.Complete(); err != nil {
		return nil, err
	}
	definition, err := defineEvent(e)
	if err != nil {
		return nil, err
	}
	var sections []string
	var capacities []int64
	for i := range e.Sections {
		sections = append(sections, e.Sections[i].ID)
		capacities = append(capacities, e.Sections[i].Capacity)
	}
	err = s.inTx(ctx, "create event "+string(e.ID), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO events (id, definition) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, string(e.ID), definition)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return sameEvent(ctx, tx, e.ID, definition)
		}
		_, err = tx.Exec(ctx, `INSERT INTO sections (event, section, capacity)
			SELECT $1, u.section, u.capacity FROM unnest($2::text[], $3::bigint[]) AS u (section, capacity)`,
			string(e.ID), sections, capacities)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Event(ctx, e.ID)
}

// defineEvent is what of an event never changes, as JSON.
func defineEvent(e *onsale.Event) ([]byte, error) {
	fixed := *e
	fixed.Sale, fixed.Epoch, fixed.StartsAt = "", 0, e.StartsAt.UTC()
	b, err := json.Marshal(&fixed)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return b, nil
}

func sameEvent(ctx context.Context, tx pgx.Tx, id onsale.EventID, definition []byte) error {
	var same bool
	if err := tx.QueryRow(ctx, `SELECT definition = $2::jsonb FROM events WHERE id = $1`, string(id), definition).Scan(&same); err != nil {
		return err
	}
	if !same {
		return onsale.Refuse(onsale.CodeEventExists, fmt.Sprintf("there is another event %q: choose another id", id))
	}
	return nil
}

// Event returns an event, or refuses with CodeUnknownEvent.
func (s *Store) Event(ctx context.Context, id onsale.EventID) (*onsale.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, eventColumns+`WHERE id = $1`, string(id))
	if err != nil {
		return nil, failed("read event "+string(id), err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEvent)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, unknownEvent(id)
	}
	if err != nil {
		return nil, failed("read event "+string(id), err)
	}
	return e, nil
}

// Events returns all events, drafts included, the next performance first. There
// are as many as operators have created: tens, not thousands.
func (s *Store) Events(ctx context.Context) ([]*onsale.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, eventColumns+`ORDER BY (definition->>'starts_at')::timestamptz, id`)
	if err != nil {
		return nil, failed("list events", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, failed("list events", err)
	}
	return events, nil
}

// SetSale moves an event's sale to next and returns the event. A sale that is there
// already stays as it is; one that can't go there is refused with CodeBadTransition.
func (s *Store) SetSale(ctx context.Context, id onsale.EventID, next onsale.Sale) (*onsale.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var from []string
	for _, sale := range []onsale.Sale{onsale.SaleDraft, onsale.SaleOpen, onsale.SalePaused, onsale.SaleClosed} {
		if sale.CanBecome(next) {
			from = append(from, string(sale))
		}
	}
	// One statement both checks and moves, so of two operators one is refused.
	rows, err := s.pool.Query(ctx, `UPDATE events SET sale = $2 WHERE id = $1 AND sale = ANY ($3::text[]) RETURNING definition, sale, epoch`,
		string(id), string(next), from)
	if err != nil {
		return nil, failed("set the sale of "+string(id), err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEvent)
	if !errors.Is(err, pgx.ErrNoRows) {
		if err != nil {
			return nil, failed("set the sale of "+string(id), err)
		}
		return e, nil
	}
	e, err = s.Event(ctx, id)
	if err == nil && e.Sale != next {
		return nil, onsale.Refuse(onsale.CodeBadTransition, fmt.Sprintf("the sale of %s is %s: it can't become %s", id, e.Sale, next))
	}
	return e, err
}

// RaiseEpoch raises an event's epoch by one, durably, and returns it.
func (s *Store) RaiseEpoch(ctx context.Context, id onsale.EventID) (onsale.Epoch, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var epoch int64
	err := s.pool.QueryRow(ctx, `UPDATE events SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch`, string(id)).Scan(&epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, unknownEvent(id)
	}
	if err != nil {
		return 0, failed("raise the epoch of "+string(id), err)
	}
	return onsale.Epoch(epoch), nil
}

func scanEvent(row pgx.CollectableRow) (*onsale.Event, error) {
	var e onsale.Event
	var sale string
	var epoch int64
	if err := row.Scan(&e, &sale, &epoch); err != nil {
		return nil, err
	}
	e.Sale, e.Epoch = onsale.Sale(sale), onsale.Epoch(epoch)
	return &e, nil
}

func unknownEvent(id onsale.EventID) error {
	return onsale.Refuse(onsale.CodeUnknownEvent, fmt.Sprintf("there is no event %q", id))
}
