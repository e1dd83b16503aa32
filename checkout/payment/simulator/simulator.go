// Package simulator is a payment provider as its own HTTP server, for the demo,
// the tests and whoever tries Onsale without an account anywhere. It takes no
// money, but in all else it is to be taken seriously: it is idempotent, its ledger
// survives a kill, and it misbehaves like real providers do: it declines, is slow,
// charges and never answers, charges and fails, tells everything twice.
//
//	POST /v1/charges                  charge, under the header Idempotency-Key = the order's id
//	POST /v1/authorisations           set the money aside, under the same key
//	POST /v1/charges/{order}/capture  take what was set aside
//	POST /v1/charges/{order}/void     call it off, charged or not: nobody can charge it any more
//	POST /v1/refunds                  pay back, under the header Idempotency-Key = the refund's id
//	GET  /v1/charges/{order}          what became of it
//	GET  /v1/refunds/{refund}         what has become of it by now
//	GET  /v1/ledger?event=            all of an event, by pages, for the auditor
//	GET  /v1/behaviour                how it misbehaves
//	PUT  /v1/behaviour                misbehave otherwise from now on
//	GET  /livez
//
// A request passes the files charge.go or refund.go (what it is), keys.go (one at a
// time for each order), behaviour.go and misbehave.go (what shall go wrong), ledger.go
// (durable) and notifier.go (webhook).
package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"onsale"
	"onsale/checkout/payment"
	"onsale/internal/lifecycle"
)

const (
	// maxRequests is how many requests are under way at once; more are answered 503.
	maxRequests = 4096
	// maxBodyBytes is the largest request body.
	maxBodyBytes = 16 << 10

	readTime = 10 * time.Second
	idleTime = 2 * time.Minute
	// goodbyeTime is how long clients have to take their answers when Stop is called.
	goodbyeTime = time.Second
)

// Config says where a simulator listens, what it remembers and how it misbehaves.
type Config struct {
	Listen        string       // HOST:PORT; default 127.0.0.1:0, any free port
	Ledger        string       // file of the ledger; "" keeps it in memory. No two simulators may share one
	Behaviour     Behaviour    // default: none, all charges are captured at once
	WebhookURL    string       // where notices go; "" sends none, until SetWebhookURL
	WebhookSecret []byte       // what signs them
	Log           *slog.Logger // default slog.Default()
}

// Simulator is the fake payment provider.
type Simulator struct {
	cfg      Config
	log      *slog.Logger
	keys     keys
	notifier *notifier
	server   *http.Server
	requests chan struct{}   // a token for each request under way
	stopping context.Context // ends when Stop is called: nobody is kept waiting any longer
	stop     context.CancelFunc
	serving  lifecycle.Group

	stopOnce sync.Once
	stopErr  error // written under stopOnce

	mu        sync.Mutex
	behaviour Behaviour // under mu

	ledger   *ledger      // set by Start
	listener net.Listener // set by Start
}

var _ lifecycle.Part = (*Simulator)(nil)

// New returns a simulator that has not started. A Behaviour that is none is an error.
func New(cfg Config) (*Simulator, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if err := cfg.Behaviour.check(); err != nil {
		return nil, fmt.Errorf("payment simulator: %w", err)
	}
	s := &Simulator{cfg: cfg, log: cfg.Log, behaviour: cfg.Behaviour, requests: make(chan struct{}, maxRequests)}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.notifier = newNotifier(cfg.WebhookURL, cfg.WebhookSecret, cfg.Log)
	s.server = &http.Server{
		Handler:           s.bounded(s.routes()),
		ReadHeaderTimeout: readTime,
		ReadTimeout:       readTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxBodyBytes,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Start reloads the ledger and listens.
func (s *Simulator) Start(ctx context.Context) error {
	ledger, err := openLedger(s.cfg.Ledger)
	if err != nil {
		return fmt.Errorf("start payment simulator: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("start payment simulator: %w", err), ledger.close())
	}
	s.ledger, s.listener = ledger, listener
	s.notifier.start(ctx)
	s.serving.Go(ctx, func(context.Context) {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("payment simulator no longer serves", "error", err)
		}
	})
	return nil
}

// URL returns the base URL, once started.
func (s *Simulator) URL() string { return "http://" + s.listener.Addr().String() }

// SetWebhookURL says where notices go from now on, those that wait for delivery
// included. It is for who starts the provider before the receiver, and so knows the
// receiver's address too late for Config. An outcome that was notified to nobody
// stays so.
func (s *Simulator) SetWebhookURL(url string) { s.notifier.url.Store(&url) }

// Stop implements lifecycle.Part. Charges that are still delayed are not made, and
// notices that are not yet delivered never are.
func (s *Simulator) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stop()
		if s.ledger == nil {
			return
		}
		err := errors.Join(s.drain(ctx), s.serving.Stop(ctx), s.notifier.stop(ctx), s.ledger.close())
		if err != nil {
			s.stopErr = fmt.Errorf("stop payment simulator: %w", err)
		}
	})
	return s.stopErr
}

// drain ends every connection and returns when no request is under way.
func (s *Simulator) drain(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, goodbyeTime)
	defer cancel()
	if err := s.server.Shutdown(polite); err != nil {
		// Some connection is idle without having said so, or a client dawdles.
		if err := s.server.Close(); err != nil {
			return fmt.Errorf("close connections: %w", err)
		}
	}
	// Who has every token is alone.
	for range maxRequests {
		select {
		case s.requests <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("requests still under way: %w", ctx.Err())
		}
	}
	return nil
}

func (s *Simulator) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/charges", s.postCharge(onsale.ChargeCaptured))
	mux.HandleFunc("POST /v1/authorisations", s.postCharge(onsale.ChargeAuthorised))
	mux.HandleFunc("POST /v1/charges/{order}/capture", s.postChange(s.capture))
	mux.HandleFunc("POST /v1/charges/{order}/void", s.postChange(s.void))
	mux.HandleFunc("POST /v1/refunds", s.postRefund)
	mux.HandleFunc("GET /v1/charges/{order}", s.getCharge)
	mux.HandleFunc("GET /v1/refunds/{refund}", s.getRefund)
	mux.HandleFunc("GET /v1/ledger", s.getLedger)
	mux.HandleFunc("GET /v1/behaviour", s.getBehaviour)
	mux.HandleFunc("PUT /v1/behaviour", s.putBehaviour)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

// bounded lets so many requests in, and so large ones.
func (s *Simulator) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.requests <- struct{}{}:
			defer func() { <-s.requests }()
		default:
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusServiceUnavailable, onsale.CodeOverloaded, "too many requests under way")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		next.ServeHTTP(w, r)
	})
}

func (s *Simulator) getBehaviour(w http.ResponseWriter, _ *http.Request) {
	answer(w, s.currentBehaviour())
}

func (s *Simulator) putBehaviour(w http.ResponseWriter, r *http.Request) {
	var b Behaviour
	err := decode(r, &b)
	if err == nil {
		err = b.check()
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	s.behaviour = b
	s.mu.Unlock()
	answer(w, b)
}

func (s *Simulator) currentBehaviour() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}

func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is not what is expected here: %w", err)
	}
	return nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone needs no answer.
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code onsale.Code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(payment.Problem{Code: string(code), Detail: detail}) // as in answer
}
