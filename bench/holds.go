package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"onsale"
	"onsale/internal/contest"
)

// HoldsConfig says how the speed of holding is measured. The zero value of a field
// means its default.
type HoldsConfig struct {
	Rounds      int           // that count; default 5
	Lasting     time.Duration // how long each contestant works in a round; default 3 s
	Connections int           // of the crowd; default 1,024
	Status      io.Writer     // hears how it goes on; default: nobody
}

// The defaults and bounds of the holds scenario.
const (
	defaultRounds  = 5
	defaultLasting = 3 * time.Second
	// defaultConnections is a crowd that keeps both cores of a small machine busy: with 256 a fifth of
	// their time passes between a batch and its answers, and http_vs_noop is a fifth less.
	defaultConnections = 1024

	maxRounds      = 100
	maxLasting     = time.Minute
	maxConnections = 4096

	// holdsBuyers sign in once; each may have onsale.MaxPerBuyer admissions of a round's event.
	holdsBuyers = 20_000
	// holdsSeconds is longer than a round and its audit: no hold ends meanwhile.
	holdsSeconds = 600
	// rowsCapacity is more than row locks give in one run.
	rowsCapacity = 300_000
)

func (c HoldsConfig) withDefaults() HoldsConfig {
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	if c.Lasting == 0 {
		c.Lasting = defaultLasting
	}
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	if c.Status == nil {
		c.Status = io.Discard
	}
	return c
}

func (c HoldsConfig) validate() error {
	switch {
	case c.Rounds < 1 || c.Rounds > maxRounds:
		return wrong("rounds: %d must be from 1 to %d", c.Rounds, maxRounds)
	case c.Lasting < 100*time.Millisecond || c.Lasting > maxLasting:
		return wrong("lasting: %v must be from 100ms to %v", c.Lasting, maxLasting)
	case c.Connections < 1 || c.Connections > maxConnections:
		return wrong("connections: %d must be from 1 to %d", c.Connections, maxConnections)
	}
	return nil
}

// holdsRun is one run of the holds scenario.
type holdsRun struct {
	cfg                HoldsConfig
	onsale             *embedded
	noop, rows         *Server
	api                *api
	m                  measured
	crowd, idle, lines *load // to Onsale, to the no-op, to the row locks
	tokens             []string
	soldOut            onsale.EventID
	events             []onsale.EventID // of the rounds, audited at the end
	cpu                costs            // of the rounds that count, by contestant
}

// Holds measures how many holds and refusals a second an Onsale of its own answers over
// HTTP, everything on, against a server that does nothing and against row locks in
// Postgres, in turns. It ends with the audit of every event that it made. Errors: as Rush.
func Holds(ctx context.Context, cfg HoldsConfig) (report *Report, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &holdsRun{cfg: cfg, cpu: costs{}}
	defer func() { err = errors.Join(err, r.leave()) }()
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	figures, err := contest.Run(ctx, cfg.Rounds, []contest.Contestant{
		{Name: "noop", Work: r.askNoop}, {Name: "holds", Work: r.askHolds},
		{Name: "refusals", Work: r.askSoldOut}, {Name: "rows", Work: r.askRows},
	}, func(round int, name string, figure float64) {
		fmt.Fprintf(cfg.Status, "round %d: %-8s %8.0f/s\n", round, name, figure)
	})
	if err != nil {
		return nil, err
	}
	verdict, err := r.audit(ctx)
	if err != nil {
		return nil, fmt.Errorf("checking the outcome: %w", err)
	}
	report = r.report(figures, verdict)
	return report, report.Err()
}

func (r *holdsRun) report(f contest.Figures, verdict Verdict) *Report {
	report := NewReport("holds", map[string]any{"rounds": r.cfg.Rounds, "seconds": r.cfg.Lasting.Seconds(), "connections": r.cfg.Connections, "buyers": holdsBuyers})
	report.Contest(f, "1/s")
	r.cpu.report(report, "")
	report.Versus("http_vs_noop", f, "holds", "noop")
	report.Versus("soldout_vs_noop", f, "refusals", "noop")
	report.Versus("vs_rows", f, "holds", "rows")
	report.Audit = verdict
	report.OK = report.Err() == nil
	return report
}

// prepare starts the servers, signs the buyers in and sells one event out.
func (r *holdsRun) prepare(ctx context.Context) (err error) {
	if r.onsale, err = startEmbedded(ctx, r.cfg.Status); err != nil {
		return err
	}
	if r.noop, err = StartServer(ctx, "the no-op", r.cfg.Status, nil, "bench", "peer", "noop"); err != nil {
		return err
	}
	if r.rows, err = StartServer(ctx, "the row locks", r.cfg.Status, nil, "bench", "peer", "rows"); err != nil {
		return err
	}
	for _, to := range []struct {
		load   **load
		server *Server
	}{{&r.crowd, r.onsale.Server}, {&r.idle, r.noop}, {&r.lines, r.rows}} {
		if *to.load, err = dialLoad(ctx, strings.TrimPrefix(to.server.URL, "http://"), r.cfg.Connections); err != nil {
			return err
		}
		(*to.load).server = to.server
	}
	if r.api, err = newAPI(r.onsale.URL, &r.m); err != nil {
		return err
	}
	if err := r.signIn(ctx); err != nil {
		return err
	}
	if r.soldOut, err = r.createEvent("soldout", onsale.MaxPerBuyer); err != nil {
		return err
	}
	if err := r.openRows(); err != nil {
		return err
	}
	var hoarder struct {
		Token string `json:"token"`
	}
	if err := r.api.send(request{method: "POST", path: "/v1/sessions"}, &hoarder); err != nil {
		return err
	}
	return r.api.send(request{method: "POST", path: "/v1/events/" + string(r.soldOut) + "/holds", token: hoarder.Token,
		body: map[string]any{"lines": []map[string]any{{"section": "floor", "quantity": onsale.MaxPerBuyer}}}}, nil)
}

// openRows puts the event of the same name on sale at the row locks, for all rounds.
func (r *holdsRun) openRows() error {
	api, err := newAPI(r.rows.URL, &r.m)
	if err != nil {
		return err
	}
	defer api.close()
	return peerBook{api}.open(r.soldOut, rowsCapacity)
}

// signIn gets every buyer a token.
func (r *holdsRun) signIn(ctx context.Context) error {
	share := holdsBuyers / r.cfg.Connections
	r.tokens = make([]string, share*r.cfg.Connections)
	signedIn := make([]int, r.cfg.Connections)
	_, err := r.crowd.drive(ctx, wirePatience, func(wire int, to []byte) ([]byte, error) {
		if signedIn[wire] == share {
			return to, errNoMore
		}
		return appendRequest(to, "/v1/sessions", "", "", nil), nil
	}, func(wire, status int, body []byte) error {
		var session struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal(body, &session); err != nil || status != 201 {
			return fmt.Errorf("signing in: status %d, %.200q", status, body)
		}
		r.tokens[wire*share+signedIn[wire]] = session.Token
		signedIn[wire]++
		return nil
	})
	return err
}

func (r *holdsRun) createEvent(name string, capacity int64) (onsale.EventID, error) {
	id := onsale.EventID("holds-" + name)
	return id, r.create(id, capacity)
}

func (r *holdsRun) create(id onsale.EventID, capacity int64) error {
	event := &onsale.Event{
		ID: id, Name: "Holds", StartsAt: time.Now().UTC().AddDate(0, 1, 0).Truncate(time.Hour),
		Currency: "EUR", HoldSeconds: holdsSeconds, MaxPerBuyer: onsale.MaxPerBuyer, HoldsPerMinute: 10 * onsale.MaxPerBuyer,
		Sections: []onsale.Section{{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4_900, Capacity: capacity}},
	}
	for _, step := range []request{
		{method: "POST", path: "/v1/admin/events", body: event},
		{method: "POST", path: "/v1/admin/events/" + string(event.ID) + "/open"},
	} {
		step.token = r.onsale.AdminToken
		if err := r.api.send(step, nil); err != nil {
			return err
		}
	}
	r.events = append(r.events, event.ID)
	return nil
}

// wireState is what a wire has asked for in a round, and how often it was answered.
type wireState struct {
	asked, answered int
	key             []byte
}

var oneOfTheFloor = []byte(`{"lines":[{"section":"floor","quantity":1}]}`)

// ask has a crowd ask for admissions, as askAll does, and notes what an answer costs in CPU time.
func (r *holdsRun) ask(ctx context.Context, name string, to *load, event onsale.EventID, round int, status int, mark string) (rate float64, err error) {
	began := takeSnapshot(to.server)
	rate, answers, err := r.askAll(ctx, to, event, round, status, mark)
	if round > 0 {
		r.cpu.note(name+"_", began, takeSnapshot(to.server), answers)
	}
	return rate, err
}

// askAll lets a crowd ask for one admission of an event after another, each wire for its own buyers in turn, each time
// under a key of its own. It returns the answers a second, and how many there were: the crowd may have asked for all
// that it may before the time is over.
func (r *holdsRun) askAll(ctx context.Context, to *load, event onsale.EventID, round int, status int, mark string) (rate float64, answers int64, err error) {
	share := len(r.tokens) / len(to.wires)
	states := make([]wireState, len(to.wires))
	path := "/v1/events/" + string(event) + "/holds"
	marker := []byte(mark)
	rate, err = to.drive(ctx, r.cfg.Lasting, func(wire int, buffer []byte) ([]byte, error) {
		s := &states[wire]
		if s.asked == share*onsale.MaxPerBuyer {
			return buffer, errNoMore
		}
		token := r.tokens[wire*share+s.asked%share]
		s.key = strconv.AppendInt(append(strconv.AppendInt(s.key[:0], int64(round), 10), '-'), int64(s.asked), 10)
		s.asked++
		return appendRequest(buffer, path, token, string(s.key), oneOfTheFloor), nil
	}, func(wire, got int, body []byte) error {
		if got != status || !bytes.Contains(body, marker) {
			return fmt.Errorf("asked for one admission: status %d, %.300q", got, body)
		}
		states[wire].answered++
		return nil
	})
	for _, s := range states {
		answers += int64(s.answered)
	}
	return rate, answers, err
}

func (r *holdsRun) askNoop(ctx context.Context, round int) (float64, error) {
	return r.ask(ctx, "noop", r.idle, r.soldOut, round, 201, "")
}

func (r *holdsRun) askHolds(ctx context.Context, round int) (float64, error) {
	event, err := r.createEvent("round-"+strconv.Itoa(round), onsale.MaxCapacity)
	if err != nil {
		return 0, err
	}
	return r.ask(ctx, "holds", r.crowd, event, round, 201, `"state":"held"`)
}

func (r *holdsRun) askSoldOut(ctx context.Context, round int) (float64, error) {
	return r.ask(ctx, "refusals", r.crowd, r.soldOut, round, 409, `"code":"sold_out"`)
}

func (r *holdsRun) askRows(ctx context.Context, round int) (float64, error) {
	return r.ask(ctx, "rows", r.lines, r.soldOut, round, 201, "")
}

// audit has every event audited.
func (r *holdsRun) audit(ctx context.Context) (Verdict, error) {
	verdict := Verdict{Violations: []onsale.Violation{}}
	for _, event := range r.events {
		audit, err := r.auditEvent(event)
		if err != nil {
			return verdict, err
		}
		verdict.Violations = append(verdict.Violations, audit.Violations...)
	}
	return verdict, ctx.Err()
}

func (r *holdsRun) auditEvent(event onsale.EventID) (audit onsale.AuditReport, err error) {
	err = r.api.send(request{method: "GET", path: "/v1/admin/events/" + string(event) + "/audit", token: r.onsale.AdminToken,
		wait: defaultResultTimeout}, &audit)
	return audit, err
}

// leave ends everything that prepare has started.
func (r *holdsRun) leave() error {
	var errs []error
	for _, l := range []*load{r.crowd, r.idle, r.lines} {
		if l != nil {
			errs = append(errs, l.close())
		}
	}
	if r.api != nil {
		r.api.close()
	}
	for _, s := range []*Server{r.noop, r.rows} {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	if r.onsale != nil {
		errs = append(errs, r.onsale.stop())
	}
	return errors.Join(errs...)
}
