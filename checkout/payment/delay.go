package payment

// How a buyer's page comes to know that payments are delayed. A worker tells the
// providers' topic while its breaker isn't closed, every newsEvery, each time for
// newsLife; every front follows the topic. Nothing of it is kept: a worker that is
// killed is forgotten newsLife later, and a front that starts hears within newsEvery.
// The time is counted from when the news is heard, so no two clocks are compared.

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// newsEvery is how often a worker tells that payments are delayed.
	newsEvery = 2 * time.Second
	// newsLife is how long a front believes it: some of the news may be lost.
	newsLife = 5 * newsEvery
	// maxDelayNews bounds how long a front believes anyone.
	maxDelayNews = time.Minute
	// maxDelaying bounds how many workers' news a front remembers.
	maxDelaying = 1024
)

// delayTeller tells what becomes of one worker's breaker.
type delayTeller struct {
	breaker  *Breaker
	producer producer
	log      *slog.Logger
	news     onsale.ProviderNews // what doesn't change of it
}

func newDelayTeller(breaker *Breaker, name string, producer producer, log *slog.Logger) *delayTeller {
	worker := "wrk_" + strings.ToLower(rand.Text())
	return &delayTeller{breaker: breaker, producer: producer, log: log, news: onsale.ProviderNews{Worker: worker, Provider: name}}
}

// run tells until ctx ends.
func (t *delayTeller) run(ctx context.Context) {
	again := time.NewTicker(newsEvery)
	defer again.Stop()
	for delayed := false; ; {
		closed, changed := t.breaker.Closed()
		switch {
		case !closed:
			delayed = true
			t.tell(ctx, newsLife)
		case delayed:
			delayed = false
			t.tell(ctx, 0)
		}
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell tells once. What is not heard is told again, or ends by itself.
func (t *delayTeller) tell(ctx context.Context, lasts time.Duration) {
	news := t.news
	news.DelayedForMs = lasts.Milliseconds()
	err := t.producer.Produce(ctx, kafka.Message{Topic: onsale.TopicProviders, Key: news.Worker, Value: news})
	if err != nil && ctx.Err() == nil {
		t.log.Warn("that payments are delayed, or no longer, could not be told", "provider", news.Provider, "error", err)
	}
}

// Delays is what one process has heard of payments that are delayed. It is a
// lifecycle.Part, and safe for concurrent use; a nil one has heard of none.
type Delays struct {
	*kafka.Tail
	log *slog.Logger

	mu    sync.Mutex
	until map[string]time.Time // under mu: by worker; what has passed may be there still
}

var _ lifecycle.Part = (*Delays)(nil)

// NewDelays returns one that has not started, and has heard nothing.
func NewDelays(broker kafka.Broker, log *slog.Logger) *Delays {
	if log == nil {
		log = slog.Default()
	}
	d := &Delays{log: log, until: map[string]time.Time{}}
	d.Tail = kafka.NewTail(kafka.TailConfig{Broker: broker, Topic: onsale.TopicProviders, Handle: d.hear, Log: log})
	return d
}

// Delayed reports whether some worker's provider is not asked for money just now.
// Which worker an order will come to isn't known, so it is said of all that wait.
func (d *Delays) Delayed() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, until := range d.until {
		if until.After(now) {
			return true
		}
	}
	return false
}

func (d *Delays) hear(records []kafka.Record) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		news, err := kafka.Decode[onsale.ProviderNews](r)
		if err != nil {
			d.log.Warn("a provider's news can't be read", "error", err)
			continue
		}
		maps.DeleteFunc(d.until, func(_ string, until time.Time) bool { return !until.After(now) })
		lasts := min(time.Duration(news.DelayedForMs)*time.Millisecond, maxDelayNews)
		switch {
		case lasts <= 0:
			delete(d.until, news.Worker)
		case len(d.until) < maxDelaying:
			d.until[news.Worker] = now.Add(lasts)
		}
	}
}
