package persist

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"onsale"
)

const webhookColumns = `SELECT id, url, events, version, rotated_at, created_at, disabled_at, disabled_reason FROM webhooks `

func scanWebhook(row pgx.CollectableRow) (w onsale.Webhook, err error) {
	err = row.Scan(&w.ID, &w.URL, &w.Events, &w.Version, &w.RotatedAt, &w.CreatedAt, &w.DisabledAt, &w.DisabledReason)
	w.CreatedAt = w.CreatedAt.UTC()
	return w, err
}

var (
	errUnknownWebhook = onsale.Refuse(onsale.CodeUnknownWebhook, "there is no such webhook")
	errWebhookExists  = onsale.Refuse(onsale.CodeWebhookExists, "another webhook has this URL: rotate its secret if you have lost it")
	errWebhookLimit   = onsale.Refuse(onsale.CodeWebhookLimit, fmt.Sprintf("there are %d webhooks, and may not be more: delete one", onsale.MaxWebhooks))
)

// CreateWebhook stores a webhook under a new id and returns it. Of w only URL and Events
// count. A URL that another one has is refused with CodeWebhookExists, one too many with
// CodeWebhookLimit.
func (s *Store) CreateWebhook(ctx context.Context, w onsale.Webhook) (*onsale.Webhook, error) {
	id := onsale.NewWebhookID()
	err := s.inTx(ctx, "create a webhook", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		// Two at once must not both be the last one.
		if _, err := tx.Exec(ctx, `LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM webhooks`).Scan(&count); err != nil {
			return err
		}
		if count >= onsale.MaxWebhooks {
			return errWebhookLimit
		}
		tag, err := tx.Exec(ctx, `INSERT INTO webhooks (id, url, events) VALUES ($1, $2, $3) ON CONFLICT (url) DO NOTHING`, string(id), w.URL, w.Events)
		if err == nil && tag.RowsAffected() == 0 {
			return errWebhookExists
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Webhook(ctx, id)
}

// Webhooks returns all of them, oldest first.
func (s *Store) Webhooks(ctx context.Context) ([]onsale.Webhook, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, webhookColumns+`ORDER BY created_at, id`)
	if err != nil {
		return nil, failed("list the webhooks", err)
	}
	webhooks, err := pgx.CollectRows(rows, scanWebhook)
	if err != nil {
		return nil, failed("list the webhooks", err)
	}
	return webhooks, nil
}

// Webhook returns a webhook, or refuses with CodeUnknownWebhook.
func (s *Store) Webhook(ctx context.Context, id onsale.WebhookID) (*onsale.Webhook, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, webhookColumns+`WHERE id = $1`, string(id))
	if err != nil {
		return nil, failed("read a webhook", err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWebhook)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errUnknownWebhook
	}
	if err != nil {
		return nil, failed("read a webhook", err)
	}
	return &w, nil
}

// DeleteWebhook forgets a webhook; what was still to be told to it is given up. It
// refuses with CodeUnknownWebhook.
func (s *Store) DeleteWebhook(ctx context.Context, id onsale.WebhookID) error {
	return s.changeWebhook(ctx, `DELETE FROM webhooks WHERE id = $1`, string(id))
}

// RotateWebhook raises the version of a webhook's secret. It refuses with CodeUnknownWebhook.
func (s *Store) RotateWebhook(ctx context.Context, id onsale.WebhookID) (*onsale.Webhook, error) {
	if err := s.changeWebhook(ctx, `UPDATE webhooks SET version = version + 1, rotated_at = now() WHERE id = $1`, string(id)); err != nil {
		return nil, err
	}
	return s.Webhook(ctx, id)
}

// EnableWebhook has a webhook told of what comes from now on. It refuses with CodeUnknownWebhook.
func (s *Store) EnableWebhook(ctx context.Context, id onsale.WebhookID) (*onsale.Webhook, error) {
	if err := s.changeWebhook(ctx, `UPDATE webhooks SET disabled_at = NULL, disabled_reason = '' WHERE id = $1`, string(id)); err != nil {
		return nil, err
	}
	return s.Webhook(ctx, id)
}

// DisableWebhook has a webhook told nothing more, because of the reason; what was still
// to be told to it is given up. It refuses with CodeUnknownWebhook.
func (s *Store) DisableWebhook(ctx context.Context, id onsale.WebhookID, reason string) error {
	return s.changeWebhook(ctx, `UPDATE webhooks SET disabled_at = coalesce(disabled_at, now()), disabled_reason = $2 WHERE id = $1`, string(id), reason)
}

func (s *Store) changeWebhook(ctx context.Context, statement string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, statement, args...)
	if err != nil {
		return failed("change a webhook", err)
	}
	if tag.RowsAffected() == 0 {
		return errUnknownWebhook
	}
	return nil
}
