package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

// graceOfOrchestrators is what Docker and Kubernetes mostly give a process before they kill it.
const graceOfOrchestrators = 30 * time.Second

// A Kafka that doesn't answer is worse than one that refuses: whoever asks it waits. The
// payment provider is as silent here, and a charge is under way.
func TestSettlementStopsInTimeThoughKafkaIsSilent(t *testing.T) {
	t.Parallel()
	stores := begin(t, "stores", "--data", storestest.Folder(t))
	env := map[string]string{}
	for len(env) < 8 {
		m := stores.until(t, `^export (ONSALE_[A-Z_]+)='(.*)'$`)
		env[m[1]] = m[2]
	}
	with := func(args ...string) []string {
		return append(args, "--listen", "127.0.0.1:0", "--redis", env["ONSALE_REDIS"], "--postgres", env["ONSALE_POSTGRES"], "--kafka", env["ONSALE_KAFKA"],
			"--kafka-prefix", env["ONSALE_KAFKA_PREFIX"], "--payments", env["ONSALE_PAYMENTS"], "--secret", env["ONSALE_SECRET"])
	}
	settle := begin(t, with("settle")...)
	meters := settle.until(t, `url=(http://\S+)`)[1]
	front := begin(t, with("serve", "--admin-token", "operator")...).until(t, `url=(http://\S+)`)[1]
	w := newWitnesses(t, front, "gala")
	w.ask(t.Context(), "POST", "/v1/admin/events", "operator", "id: gala\nname: Gala\nstarts_at: 2030-01-01T20:00:00Z\ncurrency: EUR\nsections: [{id: floor, kind: general, capacity: 10, price: 5000}]\n", &struct{}{})
	w.ask(t.Context(), "POST", "/v1/admin/events/gala/open", "operator", "", &struct{}{})
	var session struct{ Token string }
	var hold onsale.Hold
	w.ask(t.Context(), "POST", "/v1/sessions", "", "", &session)
	eventually(t, "the sale is open", func() bool {
		return w.ask(t.Context(), "POST", "/v1/events/gala/holds", session.Token, `{"lines":[{"section":"floor","quantity":1}]}`, &hold) == 201
	})
	if status := w.ask(t.Context(), "POST", "/v1/holds/"+string(hold.ID)+"/checkout", session.Token, `{"payment_token":"tok_delay_60000"}`, &struct{}{}); status != 202 {
		t.Fatalf("checkout: %d", status)
	}
	eventually(t, "it is claimed", func() bool {
		return strings.Contains(metricsOf(t, meters), `onsale_orders_total{state="claimed"} 1`)
	})
	if err := stores.Process.Signal(syscall.SIGSTOP); err != nil { // with it Kafka and the provider; Redis and Postgres are processes of their own
		t.Fatal(err)
	}
	settle.until(t, "can't be found out") // by then a rebalance is overdue too
	begun := time.Now()
	settle.interrupt(t)
	if took := time.Since(begun); took > graceOfOrchestrators {
		t.Errorf("stopping took %v", took)
	} else {
		t.Logf("stopping took %v", took)
	}
}
