package settle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/kafka"
	"onsale/internal/stores"
	"onsale/persist"
)

const (
	price    = 4_900
	currency = "EUR"
)

// house is the stores that settlement works on: Postgres as a child, and Kafka as another
// process, so that what it keeps is not taken for what settlement keeps.
type house struct {
	folder   string
	postgres *stores.Postgres
	kafka    *bench.Server
	store    *persist.Store
	secret   []byte
}

func openHouse(ctx context.Context, status io.Writer) (h *house, err error) {
	h = &house{folder: filepath.Join(os.TempDir(), "onsale-settle-"+rand.Text()), secret: []byte(rand.Text() + rand.Text())}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	h.postgres = stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(h.folder, "postgres")})
	if err := h.postgres.Start(ctx); err != nil {
		return h, err
	}
	if h.kafka, err = bench.StartServer(ctx, "Kafka", status, nil, bench.Broker(filepath.Join(h.folder, "kafka"), "")...); err != nil {
		return h, err
	}
	if err := persist.Migrate(ctx, h.postgres.URL()); err != nil {
		return h, err
	}
	h.store, err = persist.Open(ctx, h.postgres.URL(), persist.Config{Secret: h.secret})
	return h, err
}

func (h *house) broker(prefix string) kafka.Broker {
	return kafka.Broker{Seeds: []string{strings.TrimPrefix(h.kafka.URL, "http://")}, Prefix: prefix + "."}
}

// used is the CPU time that each part of the pipeline has used.
func (h *house) used() map[string]time.Duration {
	used := map[string]time.Duration{"kafka_cpu": h.kafka.CPU(), "postgres_cpu": bench.CPUOf(h.postgres.PID())}
	used["settle_cpu"] = bench.CPUOf(os.Getpid()) - used["kafka_cpu"]
	return used
}

// createEvent creates an event with room for so many, on sale.
func (h *house) createEvent(ctx context.Context, id onsale.EventID, capacity int) (*onsale.Layout, error) {
	event := &onsale.Event{
		ID: id, Name: "Settlement", StartsAt: time.Now().UTC().AddDate(0, 1, 0).Truncate(time.Hour), Currency: currency,
		Sections: []onsale.Section{{ID: "floor", Name: "Floor", Kind: onsale.General, Price: price, Capacity: int64(capacity)}},
	}
	if err := event.Complete(); err != nil {
		return nil, err
	}
	if _, err := h.store.CreateEvent(ctx, event); err != nil {
		return nil, fmt.Errorf("create event %s: %w", id, err)
	}
	return h.store.Layout(ctx, id)
}

// audit checks what can be checked without Redis, which has no part in this.
func (h *house) audit(ctx context.Context, event onsale.EventID) ([]onsale.Violation, error) {
	report, err := h.store.Audit(ctx, persist.AuditInput{Event: event, NoView: "settlement alone is measured", NoFeed: "settlement alone is measured", Overdue: true})
	if err != nil {
		return nil, err
	}
	return report.Violations, nil
}

func (h *house) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	var errs []error
	if h.store != nil {
		h.store.Close()
	}
	if h.kafka != nil {
		errs = append(errs, h.kafka.Stop())
	}
	return errors.Join(append(errs, h.postgres.Stop(ctx), os.RemoveAll(h.folder))...)
}
