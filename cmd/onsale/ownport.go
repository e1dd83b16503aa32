package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale/internal/lifecycle"
)

// ownPort is where a process of a fleet answers for itself alone. On the shared port
// /metrics is that of whichever process takes the question; a scraper wants each, under
// an address that stays the same when the process is replaced.
type ownPort struct {
	node   *node
	server http.Server
	group  lifecycle.Group
}

var _ lifecycle.Part = (*ownPort)(nil)

// The bounds of a question to an own port.
const (
	ownPortReading = 5 * time.Second
	ownPortAsking  = 8 * time.Second // of the stores whether they are ready
)

func (n *node) ownPort() *ownPort {
	o := &ownPort{node: n}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		n.set.WritePrometheus(w)
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), ownPortAsking)
		defer cancel()
		if err := n.ready(ctx); err != nil {
			http.Error(w, "not ready: a store does not answer", http.StatusServiceUnavailable)
		}
	})
	o.server = http.Server{Handler: mux, ReadTimeout: ownPortReading, WriteTimeout: 2 * ownPortAsking}
	return o
}

// Start implements lifecycle.Part.
func (o *ownPort) Start(ctx context.Context) error {
	l := o.node.place.Own
	o.node.log.Info("metrics of this process alone", "url", "http://"+l.Addr().String()+"/metrics")
	o.group.Go(ctx, func(context.Context) {
		if err := o.server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			o.node.log.Error("the port of this process alone ended by itself", "error", err)
		}
	})
	return nil
}

// Stop implements lifecycle.Part. Who scrapes comes back: nothing waits for them.
func (o *ownPort) Stop(ctx context.Context) error {
	return errors.Join(o.server.Close(), o.group.Stop(ctx))
}
