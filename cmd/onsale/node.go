package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/engine"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
	"onsale/notify"
	"onsale/persist"
	"onsale/realtime"
)

// node is one process of Onsale: the parts of its roles, wired to each other and to
// the stores. It starts them in the order of the purchase's way backwards, so that
// each finds what it hands on to, and stops them forwards.
type node struct {
	settings
	log *slog.Logger
	set *metrics.Set

	store     *persist.Store
	desk      *holds.Desk
	ladder    *holds.Ladder
	mirrors   *holds.Mirrors
	catalog   *engine.Catalog
	sales     *engine.Sales
	producer  *kafka.Producer // of all but purchases
	purchases *kafka.Producer // of these alone: a buyer waits, and not behind the thousands that settlement tells
	provider  payment.Provider
	server    *engine.Server

	chain   lifecycle.Chain
	workers lifecycle.Together // of settling and telling; one of the chain's parts
	closers []func()           // connections, closed after every part has stopped
}

// roles says what a node does.
type roles struct{ front, feed, settle, notify bool }

// start connects to the stores and starts the roles' parts.
func (n *node) start(ctx context.Context, r roles) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop(ctx))
		}
	}()
	if n.place == nil {
		if err := canListen(ctx, n.listen); err != nil {
			return err
		}
	}
	if err := n.connect(ctx); err != nil {
		return err
	}
	n.sales = engine.NewSales(engine.SalesConfig{Store: n.store, Desk: n.desk, Broker: n.broker(), Log: n.log})
	n.add(n.desk, n.sales)
	if r.front || r.feed {
		if err := n.addMirrors(r.front); err != nil {
			return err
		}
	}
	if r.settle {
		if !r.feed { // whose heap is large
			lifecycle.RoomyHeap()
		}
		n.addSettlement()
	}
	if r.notify || (r.settle && n.notify) {
		if err := n.addNotifier(); err != nil {
			return err
		}
	}
	n.add(&n.workers)
	if err := n.addServer(r); err != nil {
		return err
	}
	return n.chain.Start(ctx)
}

func (n *node) add(parts ...lifecycle.Part) { n.chain.Parts = append(n.chain.Parts, parts...) }

// connect reaches every store, so that what is wrong is said at the start.
func (n *node) connect(ctx context.Context) error {
	client, err := holds.Connect(n.redis)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, client.Close)
	if n.ladder, err = holds.NewLadder(n.redisRead, n.log); err != nil {
		return err
	}
	n.desk = holds.NewDesk(holds.Config{Client: client, Secret: []byte(n.secret)})
	if n.store, err = persist.Open(ctx, n.postgres, persist.Config{Secret: []byte(n.secret), ReadURLs: splitList(n.postgresRead), Metrics: n.set, Log: n.log}); err != nil {
		return err
	}
	n.closers = append(n.closers, n.store.Close)
	if err := kafka.EnsureTopics(ctx, n.broker(), int32(n.partitions)); err != nil {
		return fmt.Errorf("kafka at %s can't be used: start it, or give another address with --kafka: %w", n.settings.kafka, err)
	}
	if n.producer, err = kafka.NewProducer(n.broker()); err != nil {
		return err
	}
	if n.purchases, err = kafka.NewProducer(n.broker()); err != nil {
		return err
	}
	n.closers = append(n.closers, n.producer.Close, n.purchases.Close)
	provider, closing, err := n.openProvider()
	if err != nil {
		return err
	}
	n.provider, n.closers = provider, append(n.closers, closing)
	return nil
}

// addMirrors adds this process's view of the stock, and of which events there are.
// Only a front lays lost stock anew.
func (n *node) addMirrors(front bool) error {
	onAmiss := func(onsale.EventID) {}
	if front {
		onAmiss = n.sales.Amiss
	}
	if err := n.mirror(onAmiss); err != nil {
		return err
	}
	n.catalog = engine.NewCatalog(n.store, n.mirrors, n.log)
	if front {
		n.catalog.AlignWith(n.sales.Align)
	}
	n.add(n.catalog)
	return nil
}

// mirror adds mirrors alone, of the events that someone will ask them for.
func (n *node) mirror(onAmiss func(onsale.EventID)) error {
	subscriber, err := holds.Connect(n.redis)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, subscriber.Close)
	n.mirrors = holds.NewMirrors(n.desk, subscriber, onAmiss, n.log)
	n.mirrors.ReadFrom(n.ladder)
	n.add(n.ladder, n.mirrors)
	return nil
}

func (n *node) addSettlement() {
	drained := func(ctx context.Context) error {
		return kafka.Drained(ctx, n.broker(), persist.GroupClaim, onsale.TopicPurchases)
	}
	events := n.catalog
	if events == nil {
		events = engine.NewCatalog(n.store, nil, n.log)
		n.add(events)
	}
	n.workers.Parts = append(n.workers.Parts,
		checkout.NewConfirmer(checkout.ConfirmerConfig{Broker: n.broker(), Producer: n.producer, Desk: n.desk, Layouts: n.store.Layout, Metrics: n.set, Log: n.log}),
		checkout.NewRecovery(checkout.RecoveryConfig{Desk: n.desk, Events: events.All, Drained: drained, Orders: n.store.OrdersByID,
			Tell: n.tellAgain, Metrics: n.set, Log: n.log}),
		checkout.NewRefunder(checkout.RefunderConfig{Book: n.store, Provider: n.provider, Desk: n.desk, Layouts: n.store.Layout,
			Producer: n.producer, Metrics: n.set, Log: n.log}),
		checkout.NewReconciler(checkout.ReconcilerConfig{Book: n.store, Events: events.All, Idle: n.paymentsIdle, Producer: n.producer, Metrics: n.set, Log: n.log}),
		persist.NewHistorian(n.store, n.log),
		persist.NewSettler(persist.SettlerConfig{Store: n.store, Broker: n.broker(), Producer: n.producer, Metrics: n.set, Log: n.log}),
		payment.NewWorker(payment.WorkerConfig{
			Broker: n.broker(), Producer: n.producer, Provider: n.provider, Name: n.paymentProvider, GiveUp: n.paymentTimeout,
			Metrics: n.set, Log: n.log,
		}),
	)
}

// tellAgain produces orders' news.
func (n *node) tellAgain(ctx context.Context, news ...onsale.OrderNews) error {
	messages := make([]kafka.Message, len(news))
	for i, o := range news {
		messages[i] = kafka.Message{Topic: onsale.TopicOrders, Key: string(o.Order), Value: o}
	}
	return n.producer.Produce(ctx, messages...)
}

// paymentsIdle reports whether no charge and no result waits in Kafka.
func (n *node) paymentsIdle(ctx context.Context) (bool, error) {
	charges, err := kafka.Lag(ctx, n.broker(), payment.WorkerGroup, onsale.TopicCharges)
	if err != nil || charges > 0 {
		return false, err
	}
	results, err := kafka.Lag(ctx, n.broker(), persist.GroupFinalise, onsale.TopicResults)
	return results == 0, err
}

func (n *node) addServer(r roles) error {
	doors, err := n.doors(r)
	if err != nil {
		return err
	}
	sessions := engine.NewSessions([]byte(n.secret))
	cfg := engine.Config{Listen: n.listen, Listener: n.listener(), Linger: n.linger(), AdminToken: n.adminToken, Sessions: sessions, Ready: n.ready, MaxConns: doors.others,
		Metrics: n.set, Log: n.log}
	if r.feed {
		gateway, err := realtime.New(realtime.Config{
			Source: n.mirrors, Lookup: n.catalog.Layout, Verify: sessions.Verify, Holds: n.desk, Origins: splitList(n.origins),
			MaxConns: doors.feeds, MaxConnsPerIP: n.maxFeedsPerIP / n.processes(),
			Processors: n.processors, Effort: float64(n.maxFeedEffort) / 100, Metrics: n.set, Log: n.log,
		})
		if err != nil {
			return err
		}
		cfg.Gateway, cfg.FeedsPerSecond = gateway, float64(n.maxFeedRate)/float64(n.processes())
		n.add(gateway, realtime.NewTeller(gateway, n.broker(), n.log))
	}
	if r.front {
		delays := payment.NewDelays(n.broker(), n.log)
		n.add(delays)
		cfg.Shop = &engine.Shop{
			Sessions: sessions, Catalog: n.catalog, Desk: n.desk, Mirrors: n.mirrors, Store: n.store, Sales: n.sales,
			Till: checkout.NewTill(n.desk, n.purchases).BoundBy(n.backlog()), Auditor: n.auditor(), Notices: n.notices(), Delays: delays,
			WebhookKeys: notify.NewKeyring([]byte(n.secret)), WebhookLoopback: n.webhookLoopback,
		}
	}
	n.server = engine.NewServer(cfg)
	n.add(n.server)
	if n.place != nil && n.place.Own != nil {
		n.add(n.ownPort())
	}
	return nil
}

// backlog adds what bounds how much may wait to be settled.
func (n *node) backlog() *checkout.Backlog {
	b := checkout.NewBacklog(checkout.BacklogConfig{Broker: n.broker(), Max: int64(n.maxBacklog), MaxAge: n.maxBacklogAge, Metrics: n.set, Log: n.log,
		Stages: []checkout.BacklogStage{
			{Name: "claim", Group: kafka.Group{Group: persist.GroupClaim, Topic: onsale.TopicPurchases}},
			{Name: "charge", Group: kafka.Group{Group: payment.WorkerGroup, Topic: onsale.TopicCharges}, MayWait: true},
			{Name: "finalise", Group: kafka.Group{Group: persist.GroupFinalise, Topic: onsale.TopicResults}},
		}})
	n.add(b)
	return b
}

// doors says how many connections this process lets in, and logs it.
func (n *node) doors(r roles) (doors, error) {
	files, err := openFiles()
	if err != nil {
		return doors{}, err
	}
	wanted := 0
	if r.feed {
		wanted = n.share(n.maxFeeds)
	}
	d := doorsFor(files, wanted, r)
	n.log.Info("connections are bounded", "open files", files, "feeds", d.feeds, "others", d.others)
	if d.feeds < wanted {
		n.log.Warn("fewer feeds than asked for, by the limit on open files: raise it with ulimit -n, or run several processes",
			"max-feeds", n.maxFeeds, "feeds", d.feeds, "--procs", processesFor(files, n.maxFeeds, r))
	}
	return d, nil
}

func (n *node) auditor() *engine.Auditor {
	return &engine.Auditor{Store: n.store, Desk: n.desk, Broker: n.broker(), Provider: n.provider, Mirrors: n.mirrors}
}

// ready returns nil if Redis, Postgres and Kafka answer.
func (n *node) ready(ctx context.Context) error {
	return errors.Join(n.desk.Ping(ctx), n.store.Ping(ctx), kafka.Ping(ctx, n.broker()))
}

// stop stops every part, and closes the connections when nothing uses them any
// more. That ctx has ended is why it is called.
func (n *node) stop(ctx context.Context) error {
	err := n.chain.Stop(context.WithoutCancel(ctx))
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
	n.closers = nil
	return err
}
