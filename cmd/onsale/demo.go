package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/bench"
	"onsale/engine"
	"onsale/persist"
)

//go:embed arena.yaml
var arena []byte

const (
	defaultPort  = 8080
	defaultStorm = 3000
	// stormOver is what the storm's arrivals are spread over.
	stormOver = 8 * time.Second
	// openTimeout is how long a sale may take to open: after a crash its stock is
	// laid anew first.
	openTimeout = 2 * time.Minute
	// demoAuditWait is how long the audit waits for orders under way.
	demoAuditWait = time.Minute
	// freshBelow is the part of an event that must be left for the demo to go on
	// with it; else it opens the next one.
	freshBelow = 0.5
)

type demo struct {
	settings
	port   int
	folder string
	storm  int
	exit   bool
	out    io.Writer
	status io.Writer

	house *storehouse
	node  *node
}

func demoCommand() *cli.Command {
	d := &demo{}
	return &cli.Command{
		Name: "demo", Usage: "everything on this machine: opens a sale, storms it, audits it, and stays up for the browser",
		Flags: append(d.flags("redis", "postgres", "kafka", "kafka-prefix", "partitions", "payments", "secret", "admin-token", "webhook-secret",
			"origins", "max-feeds", "max-feeds-per-ip", "max-feed-rate", "max-feed-effort", "notify", "smtp", "mail-from", "public-url", "webhook-loopback"),
			d.number("port", defaultPort, "serve on this loopback `PORT`; when not given and taken, on any free one", &d.port),
			d.data(&d.folder),
			&cli.IntFlag{Name: "storm", Value: defaultStorm, Usage: "simulated `BUYERS` (0: none)", Destination: &d.storm},
			&cli.BoolFlag{Name: "exit", Usage: "leave after the storm's audit, with its exit code", Destination: &d.exit},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			d.out, d.status = c.Root().Writer, c.Root().ErrWriter
			return d.run(ctx, c)
		},
	}
}

func (d *demo) run(ctx context.Context, c *cli.Command) (err error) {
	if err := d.checkDemo(c); err != nil {
		return err
	}
	if d.listen, err = d.address(ctx, c.IsSet("port")); err != nil {
		return cantStart(err)
	}
	d.given(c)
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	if err := d.open(ctx); err != nil {
		return cantStart(err)
	}
	return d.whileAlive(ctx, d.show)
}

func (d *demo) checkDemo(c *cli.Command) error {
	switch {
	case d.port < 0 || d.port > 65535:
		return wrong("--port must be from 0 (any free one) to 65535")
	case d.storm < 0:
		return wrong("--storm must be 0 or more")
	}
	return errors.Join(noArguments(c), d.check(c))
}

// whileAlive calls f with a context that ends when anything that the demo stands
// on has died: then the error says what, and why.
func (d *demo) whileAlive(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	died := make(chan error, 1)
	go func() {
		defer close(died)
		if err := d.house.died(ctx, d.node.server.Exited()); err != nil {
			died <- err
		}
		cancel()
	}()
	err := f(ctx)
	cancel()
	if reason, ok := <-died; ok {
		return reason // what f says follows from it
	}
	return err
}

// show is the demo: a sale, its storm, its audit.
func (d *demo) show(ctx context.Context) error {
	event, err := d.openEvent(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nserving %s\n  this event  %s/#/events/%s\n  everything is kept in %s\n\n", d.node.server.URL(), d.node.server.URL(), event, d.house.folder)
	if d.storm > 0 {
		if err := d.rush(ctx, event); err != nil {
			return err
		}
	}
	if err := d.audit(ctx); err != nil || d.exit {
		return err
	}
	fmt.Fprintf(d.out, "\nstill serving %s; Ctrl-C stops it, and the next start goes on with the same data\n", d.node.server.URL())
	<-ctx.Done()
	return nil
}

// address is where to listen: the port, or any free one if nobody insists on it.
func (d *demo) address(ctx context.Context, insisted bool) (string, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port))
	err := canListen(ctx, address)
	switch {
	case err == nil:
		return address, nil
	case insisted:
		return "", fmt.Errorf("port %d is taken: give another one with --port: %w", d.port, errors.Unwrap(err))
	}
	return "127.0.0.1:0", nil
}

// open starts the stores and every role. Their logs go into the data folder; the
// terminal is for the storm.
func (d *demo) open(ctx context.Context) error {
	fmt.Fprintln(d.status, "starting Redis, Postgres, Kafka and the payment simulator …")
	terminal, err := d.log()
	if err != nil {
		return err
	}
	if d.house, err = openStorehouse(ctx, &d.settings, d.folder, terminal); err != nil {
		return err
	}
	if d.house.redis != nil && d.house.redis.Embedded() {
		fmt.Fprintln(d.status, "redis-server is not installed: an in-process stand-in takes its place. Not for benchmarks.")
	}
	if err := migrate(ctx, &d.settings); err != nil {
		return err
	}
	path := filepath.Join(d.house.folder, "onsale.log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	log := slog.New(slog.NewTextHandler(file, nil))
	n := &node{settings: d.settings, log: log, set: metrics.NewSet()}
	n.closers = append(n.closers, func() { _ = file.Close() }) // the last lines are with the kernel
	if err := n.start(ctx, roles{front: true, feed: true, settle: true}); err != nil {
		return err
	}
	d.node = n
	d.house.notify(n.server.URL())
	return nil
}

func migrate(ctx context.Context, s *settings) error { return persist.Migrate(ctx, s.postgres) }

// openEvent opens the demo's event or, if most of it is gone, the next one, and
// waits until it can be bought.
func (d *demo) openEvent(ctx context.Context) (onsale.EventID, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	e, err := engine.ReadEvent(arena)
	if err != nil {
		return "", err
	}
	name := e.ID
	for i := 2; ; i++ {
		created, err := d.node.sales.Create(ctx, e)
		if err != nil {
			return "", err
		}
		left, err := d.left(ctx, created)
		if err != nil {
			return "", err
		}
		if created.Sale != onsale.SaleClosed && float64(left) >= freshBelow*float64(created.Capacity()) {
			_, err := d.node.sales.Change(ctx, created.ID, onsale.SaleOpen)
			return created.ID, errors.Join(err, d.node.catalog.Refresh(ctx))
		}
		e.ID = onsale.EventID(fmt.Sprintf("%s-%d", name, i))
	}
}

// left is how many admissions of an event are available. After a crash that is
// known only when the stock has been laid anew.
func (d *demo) left(ctx context.Context, e *onsale.Event) (int64, error) {
	l := onsale.NewLayout(e)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		stock, err := d.node.desk.Stock(ctx, l)
		if err == nil && stock.Sale != onsale.SaleRecovering {
			var left int64
			for _, c := range stock.Counts {
				left += c.Available
			}
			return left, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("the stock of %s is not laid in time; onsale.log in the data folder says why: %w", e.ID, errors.Join(err, ctx.Err()))
		}
	}
}

func (d *demo) rush(ctx context.Context, event onsale.EventID) error {
	report, err := bench.Rush(ctx, bench.RushConfig{
		Users: d.storm, Over: stormOver, Target: d.node.server.URL(), AdminToken: d.adminToken, Event: event,
		Progress: bench.NewProgressWriter(d.status),
	})
	if ctx.Err() != nil {
		return nil // Ctrl-C in mid-storm is no failure
	}
	if report == nil {
		return err
	}
	return errors.Join(err, report.Table(d.out))
}

// audit checks every event, those of earlier runs too.
func (d *demo) audit(ctx context.Context) error {
	events, err := d.node.store.Events(ctx)
	if err != nil {
		return err
	}
	for _, e := range events {
		report, err := d.node.auditor().Audit(ctx, e.ID, demoAuditWait)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(d.out)
		if err := printAudit(d.out, report); err != nil {
			return err
		}
		if err := report.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) close(ctx context.Context) error {
	var errs []error
	if d.node != nil {
		errs = append(errs, d.node.stop(ctx))
	}
	if d.house != nil {
		errs = append(errs, d.house.close(ctx))
	}
	return errors.Join(errs...)
}
