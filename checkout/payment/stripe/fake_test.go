package stripe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is Stripe as its documentation and its recorded answers say it behaves: it keeps
// an answer under each idempotency key, and answers a repeat with it, out of date as it
// may be; it moves an intent through its states; and it fails as it is told to.
type fake struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	intents  map[string]*fakeIntent // under mu: by id
	ids      []string               // under mu: of the intents, in order
	refunds  []map[string]any       // under mu
	keys     map[string]kept        // under mu
	requests []recorded             // under mu: all that came
	fail     []failure              // under mu: what becomes of the next requests of a kind
}

// fakeIntent is an intent and what happened to it.
type fakeIntent struct {
	fields   map[string]any
	captures int
	refunded int64
}

// kept is an answer under an idempotency key.
type kept struct {
	form   string
	status int
	body   string
}

type recorded struct {
	method, path string
	form         url.Values
}

// failure is what becomes of the next request whose path ends so.
type failure struct {
	suffix string
	after  bool // what was asked for is done all the same
	kept   bool // the failure is what its key is answered with from now on
	status int  // 0: no answer
	body   string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, intents: map[string]*fakeIntent{}, keys: map[string]kept{}}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	// On a connection of its own each request is sent once: on a kept one, net/http sends
	// what has a key again if the connection has died.
	f.server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(f.server.Close)
	return f
}

// failNext says what becomes of the next request of a kind.
func (f *fake) failNext(failures ...failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = append(f.fail, failures...)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Header.Get("Authorization") != "Bearer sk_test_1" {
		f.t.Errorf("%s %s: %v, authorized by %q", r.Method, r.URL, err, r.Header.Get("Authorization"))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, recorded{r.Method, r.URL.Path, r.Form})
	failing := f.nextFailure(r.URL.Path)
	if failing != nil && failing.kept {
		f.keys[r.Header.Get("Idempotency-Key")] = kept{r.Form.Encode(), failing.status, failing.body}
	}
	if failing != nil && !failing.after {
		f.breakOff(w, failing)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	known, replayed := f.keys[key]
	switch {
	case replayed && known.form != r.Form.Encode():
		known = kept{status: 400, body: refusalOf("idempotency_error", "", "")}
	case replayed:
		w.Header().Set(replayedHeader, "true")
	default:
		known = kept{form: r.Form.Encode()}
		known.status, known.body = f.answer(r)
		if key != "" && !strings.Contains(known.body, typeInvalidRequest) { // what fails validation is not kept
			f.keys[key] = known
		}
	}
	if failing != nil {
		f.breakOff(w, failing)
		return
	}
	w.WriteHeader(known.status)
	_, _ = w.Write([]byte(known.body))
}

func (f *fake) nextFailure(path string) *failure {
	for i, failing := range f.fail {
		if strings.HasSuffix(path, failing.suffix) {
			f.fail = append(f.fail[:i:i], f.fail[i+1:]...)
			return &failing
		}
	}
	return nil
}

func (f *fake) breakOff(w http.ResponseWriter, failing *failure) {
	if failing.status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(failing.status)
	_, _ = w.Write([]byte(failing.body))
}

func (f *fake) answer(r *http.Request) (status int, body string) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch {
	case r.URL.Path == "/v1/payment_intents" && r.Method == http.MethodPost:
		return f.create(r.Form)
	case r.URL.Path == "/v1/payment_intents/search":
		return f.search(r.Form)
	case r.URL.Path == "/v1/refunds" && r.Method == http.MethodPost:
		return f.refund(r.Form)
	case r.URL.Path == "/v1/refunds":
		return 200, text(map[string]any{"data": f.refunds, "has_more": false})
	}
	i := f.intents[path[1]]
	switch {
	case i == nil:
		return 404, refusalOf(typeInvalidRequest, "resource_missing", "")
	case len(path) == 2:
		return 200, text(i.fields)
	}
	return i.change(path[2], r.Form)
}

func (f *fake) create(form url.Values) (int, string) {
	if form.Get("currency") == "xxx" {
		return 400, refusalOf(typeInvalidRequest, "parameter_invalid_string", "")
	}
	id := fmt.Sprintf("pi_%d", len(f.ids)+1)
	meta := map[string]string{}
	for name := range form {
		if field, ok := strings.CutPrefix(name, "metadata["); ok {
			meta[strings.TrimSuffix(field, "]")] = form.Get(name)
		}
	}
	var amount int64
	_, _ = fmt.Sscan(form.Get("amount"), &amount)
	f.ids = append(f.ids, id)
	f.intents[id] = &fakeIntent{fields: map[string]any{
		"id": id, "status": "requires_payment_method", "amount": amount, "amount_received": int64(0), "currency": form.Get("currency"),
		"created": time.Now().Unix(), "metadata": meta, "last_payment_error": nil, "latest_charge": nil,
	}}
	return 200, text(f.intents[id].fields)
}

// change confirms, captures or cancels, as the token says.
func (i *fakeIntent) change(what string, form url.Values) (int, string) {
	state, token := i.fields["status"], form.Get("payment_method")+form.Get("confirmation_token")
	switch {
	case what == "confirm" && state == "requires_payment_method":
		switch token {
		case "pm_unknown":
			return 400, refusalOf(typeInvalidRequest, "resource_missing", "")
		case "pm_declined":
			i.fields["last_payment_error"] = map[string]any{"type": typeCardError, "code": "card_declined", "decline_code": "insufficient_funds"}
			return 402, refusalOf(typeCardError, "card_declined", "insufficient_funds")
		case "pm_3ds":
			i.fields["status"] = "requires_action"
		case "pm_slow":
			i.fields["status"] = "processing"
		default:
			if i.fields["status"] = "requires_capture"; form.Get("capture_method") == captureNow {
				i.succeed()
			}
		}
	case what == "capture" && state == "requires_capture":
		i.succeed()
	case what == "cancel" && state != "succeeded" && state != "canceled" && state != "processing":
		i.fields["status"] = "canceled"
	default:
		return 400, refusalOf(typeInvalidRequest, "payment_intent_unexpected_state", "")
	}
	return 200, text(i.fields)
}

func (i *fakeIntent) succeed() {
	i.fields["status"], i.fields["amount_received"] = "succeeded", i.fields["amount"]
	i.captures++
}

func (f *fake) refund(form url.Values) (int, string) {
	i := f.intents[form.Get("payment_intent")]
	var amount int64
	_, _ = fmt.Sscan(form.Get("amount"), &amount)
	switch {
	case i == nil:
		return 404, refusalOf(typeInvalidRequest, "resource_missing", "")
	case i.fields["amount_received"].(int64)-i.refunded < amount:
		return 400, refusalOf(typeInvalidRequest, "charge_already_refunded", "")
	}
	i.refunded += amount
	i.fields["latest_charge"] = map[string]any{"id": "ch_1", "amount_refunded": i.refunded}
	made := map[string]any{
		"id": fmt.Sprintf("re_%d", len(f.refunds)+1), "status": "succeeded", "created": time.Now().Unix(),
		"metadata": map[string]string{metaRefund: form.Get(metadata(metaRefund)), metaInstallation: form.Get(metadata(metaInstallation))},
	}
	f.refunds = append(f.refunds, made)
	return 200, text(made)
}

// search finds by the last field of the query, two intents a page.
func (f *fake) search(form url.Values) (int, string) {
	parts := strings.Split(form.Get("query"), `"`)
	field, value, from := parts[5], parts[7], 0
	_, _ = fmt.Sscan(form.Get("page"), &from)
	all := []any{}
	for _, id := range f.ids {
		if meta, _ := f.intents[id].fields["metadata"].(map[string]string); meta[field] == value && meta[metaInstallation] == parts[3] {
			all = append(all, f.intents[id].fields)
		}
	}
	to := min(from+2, len(all))
	return 200, text(map[string]any{"data": all[from:to], "has_more": to < len(all), "next_page": fmt.Sprint(to)})
}

func refusalOf(kind, code, declineCode string) string {
	return text(map[string]any{"error": map[string]any{"type": kind, "code": code, "decline_code": declineCode, "message": "…"}})
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
