package checkout

// The promise: however far settlement is behind, what a buyer was told is true and
// ends soon. So there is a bound on how much may wait: beyond it checkout refuses with
// overloaded before it pins, and the hold stays what it was, held or, if it was pinned
// by an earlier request, pinned. Nothing is left half done.
//
// A lag that can't be read refuses nobody. It is Kafka that didn't answer then, and
// without it a purchase is not accepted anyway; but if only the question failed, to
// refuse would turn a broken gauge into a closed shop.
//
// Each front has its own backlog, and none leads: they read the same offsets.

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/freshness"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// DefaultMaxBacklog is how many purchases may wait to be settled.
	DefaultMaxBacklog = 1_000_000
	// DefaultMaxBacklogAge is how long one may wait.
	DefaultMaxBacklogAge = 60 * time.Second
	// LongestBacklogAge bounds what is kept to tell how old a backlog is.
	LongestBacklogAge = time.Hour

	// backlogEvery is how often the lag is read, backlogTimeout how long that may take.
	backlogEvery   = 500 * time.Millisecond
	backlogTimeout = 2 * time.Second
	// backlogGoodFor is how long a reading counts. After it nobody is refused.
	backlogGoodFor = 5 * time.Second
	// backlogRetry is when a buyer who is refused may come back.
	backlogRetry = 5 * time.Second
	// Once refused, checkout is open again below this part of the bounds: else it would
	// open and close with each batch.
	reopenCount, reopenAge = 0.8, 0.5
)

// BacklogStage is a stage of settlement.
type BacklogStage struct {
	Name string
	kafka.Group
	// MayWait says that a record may wait for long without anything being wrong here, as a
	// charge does while its provider is away: the age of what waits doesn't count.
	MayWait bool
}

// BacklogConfig says what a backlog reads and what it bounds.
type BacklogConfig struct {
	Broker  kafka.Broker
	Stages  []BacklogStage // an order waits in one of them at a time
	Max     int64          // records that wait, of all stages; default DefaultMaxBacklog
	MaxAge  time.Duration  // of the oldest of them, LongestBacklogAge at the most; default DefaultMaxBacklogAge
	Metrics *metrics.Set   // default: a set of its own
	Log     *slog.Logger   // default: slog.Default()
}

// Backlog knows how far settlement is behind. It is a lifecycle.Part.
type Backlog struct {
	cfg     BacklogConfig
	goodFor time.Duration // backlogGoodFor, except in tests
	groups  []kafka.Group
	stages  []stageBacklog // the reader's alone
	meter   *kafka.Meter   // set by Start
	group   lifecycle.Group

	reading atomic.Pointer[backlogReading] // nil before the first

	full, unreadable *metrics.Counter
	open             *metrics.Gauge
}

// stageBacklog is what is known of a stage.
type stageBacklog struct {
	ends               *freshness.Marks[map[int32]int64]
	records, age, lost *metrics.Gauge
}

// backlogReading is what was found at a moment.
type backlogReading struct {
	full bool
	at   time.Time
}

// NewBacklog returns a backlog that has not started. It refuses nobody before it has read.
func NewBacklog(cfg BacklogConfig) *Backlog {
	if cfg.Max == 0 {
		cfg.Max = DefaultMaxBacklog
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxBacklogAge
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	b := &Backlog{cfg: cfg, goodFor: backlogGoodFor,
		full:       cfg.Metrics.GetOrCreateCounter(`onsale_checkouts_refused_total{reason="backlog"}`),
		unreadable: cfg.Metrics.GetOrCreateCounter("onsale_backlog_unreadable_total"),
		open:       cfg.Metrics.GetOrCreateGauge("onsale_checkout_open", nil)}
	b.open.Set(1)
	for _, s := range cfg.Stages {
		b.groups = append(b.groups, s.Group)
		b.stages = append(b.stages, stageBacklog{
			ends:    freshness.NewMarks[map[int32]int64](int(cfg.MaxAge/backlogEvery) + 2),
			records: cfg.Metrics.GetOrCreateGauge(fmt.Sprintf(`onsale_backlog_records{stage=%q}`, s.Name), nil),
			lost:    cfg.Metrics.GetOrCreateGauge(fmt.Sprintf(`onsale_backlog_lost_records{stage=%q}`, s.Name), nil),
			age:     cfg.Metrics.GetOrCreateGauge(fmt.Sprintf(`onsale_backlog_age_seconds{stage=%q}`, s.Name), nil),
		})
	}
	return b
}

// Start begins to read: now, and every backlogEvery.
func (b *Backlog) Start(ctx context.Context) error {
	meter, err := kafka.NewMeter(context.WithoutCancel(ctx), b.cfg.Broker)
	if err != nil {
		return fmt.Errorf("start to read the backlog: %w", err)
	}
	b.meter = meter
	b.group.Go(ctx, func(ctx context.Context) {
		b.read(ctx)
		lifecycle.Every(ctx, backlogEvery, b.read)
	})
	return nil
}

// Stop ends the reading.
func (b *Backlog) Stop(ctx context.Context) error {
	if b.meter == nil {
		return nil
	}
	b.meter.Close() // a reading under way ends
	return b.group.Stop(ctx)
}

// Full reports whether too much waits to be settled.
func (b *Backlog) Full() bool {
	r := b.reading.Load()
	return r != nil && r.full && time.Since(r.at) < b.goodFor
}

func (b *Backlog) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	at := time.Now()
	progress, err := b.meter.Read(ctx, b.groups)
	if err != nil {
		b.unreadable.Inc()
		b.tell(b.Full(), "unreadable", err)
		return
	}
	var waiting int64
	var oldest time.Duration
	for i, p := range progress {
		s, lag := &b.stages[i], p.Lag()
		s.ends.Note(at, p.Ends)
		age := time.Duration(0)
		if lag > 0 {
			moment, _ := s.ends.Reached(p.Passed)
			age = at.Sub(moment)
		}
		s.records.Set(float64(lag))
		s.lost.Set(float64(p.Lost()))
		s.age.Set(age.Seconds())
		waiting += lag
		if !b.cfg.Stages[i].MayWait {
			oldest = max(oldest, age)
		}
	}
	full := b.judge(b.Full(), waiting, oldest)
	b.reading.Store(&backlogReading{full: full, at: time.Now()})
	b.tell(full, "records", waiting, "oldest", oldest)
}

// judge says whether checkout is closed, given whether it was.
func (b *Backlog) judge(was bool, waiting int64, oldest time.Duration) bool {
	if was {
		return float64(waiting) > reopenCount*float64(b.cfg.Max) || float64(oldest) > reopenAge*float64(b.cfg.MaxAge)
	}
	return waiting >= b.cfg.Max || oldest >= b.cfg.MaxAge
}

// tell logs that checkout has been closed or opened, and shows which it is.
func (b *Backlog) tell(full bool, about ...any) {
	now := 1.0
	if full {
		now = 0
	}
	if b.open.Get() != now {
		b.cfg.Log.Warn("checkout opens or closes, by how much waits to be settled", append([]any{"open", !full}, about...)...)
	}
	b.open.Set(now)
}

// admit refuses a hold that is not pinned yet. One that is has its purchase on the
// way, or in doubt: to ask again is safe, and must find its order.
func (b *Backlog) admit(state onsale.HoldState) error {
	if state != onsale.HoldHeld {
		return nil
	}
	b.full.Inc()
	return onsale.Busy(onsale.CodeOverloaded, "too many purchases wait to be settled; your hold is as it was, ask again", backlogRetry, nil)
}
