package engine

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/redis/rueidis"

	"go.uber.org/goleak"

	"onsale"
	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/checkout/payment/simulator"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
	"onsale/internal/stores/storestest"
	"onsale/notify"
	"onsale/persist"
	"onsale/realtime"
)

func TestMain(m *testing.M) {
	storestest.Main(m, // fasthttp's own: one notices Stop within ten seconds, one never ends
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

const (
	testSecret     = "a secret of at least thirty-two bytes"
	testAdminToken = "operator"

	testWebhookSecret = "webhooks"

	// eventualTime is longer than some attempts with their pauses take on a busy machine.
	eventualTime = 2 * time.Minute
)

// house is the whole of Onsale in this process, on real stores, with an open event:
// a floor of 10 and a stand of rows A and B with 5 seats each; one buyer may have 4.
type house struct {
	t        *testing.T
	shop     *Shop
	server   *Server
	sim      *simulator.Simulator
	redis    rueidis.Client
	prefix   string // of this test's keys in Redis
	broker   kafka.Broker
	producer *kafka.Producer
	contract routers.Router
}

const eventFile = `
id: concert
name: Concert
starts_at: 2030-01-01T20:00:00Z
currency: EUR
max_per_buyer: 4
sections:
  - {id: floor, kind: general, capacity: 10, price: 5000}
  - {id: stand, kind: reserved, price: 8000, grid: {rows: 2, seats: 5}}
`

func newHouse(t *testing.T) *house {
	t.Helper()
	url, namespace := storestest.Redis(t)
	return newHouseOn(t, url, namespace)
}

// newHouseOn is newHouse on a given Redis.
func newHouseOn(t *testing.T, url, namespace string) *house {
	t.Helper()
	h := &house{t: t, broker: kafka.Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)}}
	log, set := slog.New(slog.DiscardHandler), metrics.NewSet()
	ctx := t.Context()
	client := must(holds.Connect(url))
	t.Cleanup(client.Close)
	h.redis, h.prefix = client, namespace
	postgres := storestest.Postgres(t)
	check(t, persist.Migrate(ctx, postgres))
	store := must(persist.Open(ctx, postgres, persist.Config{Secret: []byte(testSecret)}))
	t.Cleanup(store.Close)
	check(t, kafka.EnsureTopics(ctx, h.broker, 2))
	h.producer = must(kafka.NewProducer(h.broker))
	t.Cleanup(h.producer.Close)
	h.sim = must(simulator.New(simulator.Config{Ledger: filepath.Join(t.TempDir(), "ledger.jsonl"), Log: log}))
	h.start(h.sim)
	provider := must(payment.NewClient(payment.ClientConfig{URL: h.sim.URL(), AnswerTime: time.Second}))
	t.Cleanup(provider.Close)

	desk := holds.NewDesk(holds.Config{Client: client, Namespace: namespace, Secret: []byte(testSecret)})
	sales := NewSales(SalesConfig{Store: store, Desk: desk, Broker: h.broker, Log: log})
	mirrors := holds.NewMirrors(desk, client, sales.Amiss, log)
	catalog := NewCatalog(store, mirrors, log)
	catalog.AlignWith(sales.Align)
	sessions := NewSessions([]byte(testSecret))
	gateway := must(realtime.New(realtime.Config{Source: mirrors, Lookup: catalog.Layout, Verify: sessions.Verify, Holds: desk, Metrics: set, Log: log}))
	delays := payment.NewDelays(h.broker, log)
	h.shop = &Shop{Sessions: sessions, Catalog: catalog, Desk: desk, Mirrors: mirrors, Store: store, Sales: sales,
		Till: checkout.NewTill(desk, h.producer), Notices: payment.NewWebhooks([]byte(testWebhookSecret)), Delays: delays,
		WebhookKeys: notify.NewKeyring([]byte(testSecret)),
		Auditor:     &Auditor{Store: store, Desk: desk, Broker: h.broker, Provider: provider, Mirrors: mirrors}}
	ready := func(ctx context.Context) error { return store.Ping(ctx) }
	h.server = NewServer(Config{Listen: "127.0.0.1:0", AdminToken: testAdminToken, Sessions: sessions, Shop: h.shop,
		Gateway: gateway, Ready: ready, Metrics: set, Log: log})
	h.start(desk, sales, mirrors, catalog, delays,
		checkout.NewConfirmer(checkout.ConfirmerConfig{Broker: h.broker, Producer: h.producer, Desk: desk, Layouts: store.Layout, Log: log}),
		persist.NewSettler(persist.SettlerConfig{Store: store, Broker: h.broker, Producer: h.producer, Log: log}),
		payment.NewWorker(payment.WorkerConfig{Broker: h.broker, Producer: h.producer, Provider: provider, Log: log}),
		gateway, realtime.NewTeller(gateway, h.broker, log), h.server)
	h.loadContract()
	h.want(201, h.operator("POST", "/v1/admin/events", eventFile), nil)
	h.want(200, h.operator("POST", "/v1/admin/events/concert/open", ""), nil)
	h.eventually("the sale shows as open", func() bool { return h.event().Sale == onsale.SaleOpen })
	return h
}

func (h *house) start(parts ...lifecycle.Part) {
	h.t.Helper()
	chain := &lifecycle.Chain{Parts: parts}
	check(h.t, chain.Start(h.t.Context()))
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
		defer cancel()
		if err := chain.Stop(ctx); err != nil {
			h.t.Error(err)
		}
	})
}

// must is for what can't fail here: if it does, the test can't go on.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem(t *testing.T) (p struct {
	Code      onsale.Code `json:"code"`
	Detail    string      `json:"detail"`
	Seats     []string    `json:"seats"`
	Available *int64      `json:"available"`
}) {
	t.Helper()
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("not a problem: %s", a.body)
	}
	return p
}

var client = sync.OnceValue(func() *http.Client { return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}} })

// do makes a request. Its answer must be one that openapi.yaml describes.
func (h *house) do(method, path, token, body string, headers ...string) answer {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL()+path, strings.NewReader(body))
	check(h.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client().Do(request)
	check(h.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	check(h.t, err)
	a := answer{response.StatusCode, response.Header, text}
	h.conforms(request, a)
	return a
}

func (h *house) operator(method, path, body string) answer {
	h.t.Helper()
	return h.do(method, path, testAdminToken, body, "Content-Type", "application/yaml")
}

func (h *house) loadContract() {
	h.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	check(h.t, err)
	h.contract, err = legacy.NewRouter(doc)
	check(h.t, err)
}

// conforms holds an answer to openapi.yaml. A path or method that it doesn't know
// must be answered 404 or 405.
func (h *house) conforms(request *http.Request, a answer) {
	h.t.Helper()
	bare := request.Clone(context.Background())
	bare.URL.Host, bare.URL.Scheme = "", ""
	found, params, err := h.contract.FindRoute(bare)
	if err != nil {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
			h.t.Errorf("%s %s is not in openapi.yaml and answered %d", request.Method, request.URL.Path, a.status)
		}
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: bare, PathParams: params, Route: found},
		Status:                 a.status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		h.t.Errorf("%s %s answered %d, not as openapi.yaml says: %v\n%s", request.Method, request.URL.Path, a.status, err, a.body)
	}
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		h.t.Errorf("%s %s answered %d as %s", request.Method, request.URL.Path, a.status, a.header.Get("Content-Type"))
	}
}

// want checks the status and reads the body into v, unless v is nil.
func (h *house) want(status int, a answer, v any) answer {
	h.t.Helper()
	if a.status != status {
		h.t.Fatalf("answered %d, want %d: %s", a.status, status, a.body)
	}
	if v != nil {
		check(h.t, json.Unmarshal(a.body, v))
	}
	return a
}

// refused checks the status and the code.
func (h *house) refused(status int, code onsale.Code, a answer) answer {
	h.t.Helper()
	if got := a.problem(h.t).Code; a.status != status || got != code {
		h.t.Errorf("answered %d %s, want %d %s: %s", a.status, got, status, code, a.body)
	}
	return a
}

func (h *house) signIn() (token string) {
	h.t.Helper()
	var session struct{ Token string }
	h.want(201, h.do("POST", "/v1/sessions", "", ""), &session)
	return session.Token
}

func (h *house) event() (e onsale.Event) {
	h.t.Helper()
	h.want(200, h.do("GET", "/v1/events/concert", "", ""), &e)
	return e
}

func (h *house) hold(token, lines string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "/v1/events/concert/holds", token, `{"lines":[`+lines+`]}`, headers...)
}

func (h *house) mustHold(token, lines string) (hold onsale.Hold) {
	h.t.Helper()
	h.want(201, h.hold(token, lines), &hold)
	return hold
}

// buy checks a hold out and waits for its order's end.
func (h *house) buy(token string, hold onsale.Hold, paymentToken string) (order onsale.Order) {
	h.t.Helper()
	a := h.want(202, h.do("POST", "/v1/holds/"+string(hold.ID)+"/checkout", token, `{"payment_token":"`+paymentToken+`"}`), &order)
	h.eventually("the order ends", func() bool {
		h.want(200, h.do("GET", a.header.Get("Location"), token, ""), &order)
		return order.State.Final()
	})
	return order
}

// counts are the section's, straight from Redis.
func (h *house) counts(section string) onsale.Counts {
	h.t.Helper()
	l, err := h.shop.Catalog.Layout(h.t.Context(), "concert")
	check(h.t, err)
	stock, err := h.shop.Desk.Stock(h.t.Context(), l)
	check(h.t, err)
	return stock.Counts[l.Section(section).Index]
}

func (h *house) audit() onsale.AuditReport {
	h.t.Helper()
	var report onsale.AuditReport
	h.want(200, h.operator("GET", "/v1/admin/events/concert/audit?wait=30", ""), &report)
	if err := report.Err(); err != nil {
		h.t.Error(err)
	}
	return report
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.After(eventualTime)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			h.t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// loseStock deletes all that Redis has of the event.
func (h *house) loseStock() {
	h.t.Helper()
	keys, err := h.redis.Do(h.t.Context(), h.redis.B().Keys().Pattern(h.prefix+":*").Build()).AsStrSlice()
	check(h.t, err)
	check(h.t, h.redis.Do(h.t.Context(), h.redis.B().Del().Key(keys...).Build()).Error())
}

func readAll(response *http.Response) (string, error) {
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
