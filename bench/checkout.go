package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"onsale"
	"onsale/internal/contest"
)

// CheckoutsConfig says how answers to check-outs are measured. The zero value of a field means its default.
type CheckoutsConfig struct {
	Rounds      int           // that count; default 5
	Lasting     time.Duration // of a round; default 3 s
	Connections int           // of the crowd; default 256
	Status      io.Writer     // hears how it goes on; default: nobody
}

// defaultBuying is how many connections hold and check out.
const defaultBuying = 256

// CheckoutsReport is what Checkouts found.
type CheckoutsReport struct {
	Rounds     contest.Figures // in ms, the percentiles of each round
	Violations []onsale.Violation
}

// buying is what one connection is about to ask for.
type buying struct {
	every time.Duration // one buyer comes; 0 if as soon as the one before is done
	due   time.Time     // when the next one does
	asked int
	token string // of the buyer whose turn it is; "" if it is the next one's
	key   []byte
	path  string // of the check-out, once there is a hold
	sent  time.Time
	again bool // it was too much at once, and is asked for again

	holds, checkouts []float64 // ms
}

// Checkouts lets a crowd hold and check out in turns, on an Onsale of its own that settles at the
// same time, and compares how long the answers to each take. How many buyers come a second is half
// of what the first round found that it can carry: beyond that, the figures are those of the queues.
// It ends with an audit.
func Checkouts(ctx context.Context, cfg CheckoutsConfig) (report *CheckoutsReport, err error) {
	if cfg.Status == nil {
		cfg.Status = io.Discard
	}
	if cfg.Connections == 0 {
		cfg.Connections = defaultBuying
	}
	holding := HoldsConfig(cfg).withDefaults()
	r := &holdsRun{cfg: holding, cpu: costs{}}
	defer func() { err = errors.Join(err, r.leave()) }()
	if err := r.prepareCrowd(ctx); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	figures, carried := contest.Figures{}, 0.0
	_, err = contest.Run(ctx, holding.Rounds, []contest.Contestant{{Name: "checkouts", Work: func(ctx context.Context, round int) (rate float64, err error) {
		if rate, err = r.askCheckouts(ctx, round, carried/2, figures); round == 0 {
			carried = rate
			fmt.Fprintf(cfg.Status, "as fast as they can: %.0f answers/s\n", rate)
		}
		return rate, err
	}}}, func(round int, _ string, figure float64) {
		last := round - 1
		fmt.Fprintf(cfg.Status, "round %d: %.0f answers/s, a hold in %.2f ms, a check-out in %.2f ms\n", round, figure, figures["hold_p50"][last], figures["checkout_p50"][last])
	})
	if err != nil {
		return nil, err
	}
	verdict, err := r.audit(ctx)
	if err != nil {
		return nil, fmt.Errorf("checking the outcome: %w", err)
	}
	return &CheckoutsReport{Rounds: figures, Violations: verdict.Violations}, nil
}

// prepareCrowd is prepare for who needs no one to be compared with.
func (r *holdsRun) prepareCrowd(ctx context.Context) (err error) {
	if r.onsale, err = startEmbedded(ctx, r.cfg.Status); err != nil {
		return err
	}
	if r.crowd, err = dialLoad(ctx, strings.TrimPrefix(r.onsale.URL, "http://"), r.cfg.Connections); err != nil {
		return err
	}
	r.crowd.server = r.onsale.Server
	if r.api, err = newAPI(r.onsale.URL, &r.m); err != nil {
		return err
	}
	return r.signIn(ctx)
}

// askCheckouts is one round: each connection holds one admission, checks out, and does so again
// for its next buyer. There are so many answers a second, or with 0 as many as can be. It adds the
// median of each to figures, unless it is the round that warms up.
func (r *holdsRun) askCheckouts(ctx context.Context, round int, pace float64, figures contest.Figures) (rate float64, err error) {
	event, err := r.createEvent("buying-"+strconv.Itoa(round), onsale.MaxCapacity)
	if err != nil {
		return 0, err
	}
	all := make([]buying, len(r.crowd.wires))
	if pace > 0 {
		apart := time.Duration(2 / pace * float64(time.Second)) // two answers a buyer
		for i := range all {
			all[i].every, all[i].due = apart*time.Duration(len(all)), time.Now().Add(apart*time.Duration(i))
		}
	}
	rate, err = r.crowd.drive(ctx, r.cfg.Lasting, func(wire int, to []byte) ([]byte, error) {
		return r.nextOfBuying(ctx, &all[wire], event, wire, to)
	}, func(wire, status int, body []byte) error {
		return all[wire].answered(status, body)
	})
	if err != nil || round == 0 {
		return rate, err
	}
	var holds, checkouts []float64
	for i := range all {
		holds, checkouts = append(holds, all[i].holds...), append(checkouts, all[i].checkouts...)
	}
	figures["hold_p50"] = append(figures["hold_p50"], Percentile(holds, 50))
	figures["hold_p99"] = append(figures["hold_p99"], Percentile(holds, 99))
	figures["checkout_p50"] = append(figures["checkout_p50"], Percentile(checkouts, 50))
	figures["checkout_p99"] = append(figures["checkout_p99"], Percentile(checkouts, 99))
	return rate, nil
}

var payOK = []byte(`{"payment_token":"tok_ok"}`)

func (r *holdsRun) nextOfBuying(ctx context.Context, b *buying, event onsale.EventID, wire int, to []byte) ([]byte, error) {
	if b.again { // under the same key; it has waited since it was sent first
		b.again = false
	} else {
		b.sent = time.Now()
	}
	switch {
	case b.token == "": // its next buyer
		if b.every > 0 { // who has waited since the moment they came, whatever kept the connection
			if !waitUntil(ctx, b.due) {
				return to, errNoMore
			}
			b.sent, b.due = b.due, b.due.Add(b.every)
		}
		share := len(r.tokens) / len(r.crowd.wires)
		if b.asked == share*onsale.MaxPerBuyer {
			return to, errNoMore
		}
		b.token = r.tokens[wire*share+b.asked%share]
		b.key = strconv.AppendInt(b.key[:0], int64(b.asked), 10)
		b.asked++
		return r.askForOne(b, event, to), nil
	case b.path == "":
		return r.askForOne(b, event, to), nil
	}
	return appendRequest(to, b.path, b.token, string(b.key), payOK), nil
}

func (r *holdsRun) askForOne(b *buying, event onsale.EventID, to []byte) []byte {
	return appendRequest(to, "/v1/events/"+string(event)+"/holds", b.token, string(b.key), oneOfTheFloor)
}

var holdID = []byte(`{"id":"`)

// answered takes over the answer to what was asked for last.
func (b *buying) answered(status int, body []byte) error {
	if b.again = status == http.StatusServiceUnavailable; b.again {
		return nil
	}
	took := time.Since(b.sent).Seconds() * 1000
	if b.path != "" { // a check-out
		b.checkouts = append(b.checkouts, took)
		b.token, b.path = "", ""
		if status != 202 {
			return fmt.Errorf("checking out: status %d, %.300q", status, body)
		}
		return nil
	}
	b.holds = append(b.holds, took)
	rest, ok := bytes.CutPrefix(body, holdID)
	id, _, found := bytes.Cut(rest, []byte{'"'})
	if status != 201 || !ok || !found {
		return fmt.Errorf("asked for one admission: status %d, %.300q", status, body)
	}
	b.path = "/v1/holds/" + string(id) + "/checkout"
	return nil
}
