package web_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// The contract between the page and any server is the API's description. The
// office of these tests is held to it, in both directions: a page that sends what
// no server takes fails, and so does an office that answers what no server would.

var contract = sync.OnceValues(func() (routers.Router, error) {
	document, err := openapi3.NewLoader().LoadFromFile("../openapi.yaml")
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(document)
})

func underContract(t testing.TB, next http.Handler) http.Handler {
	router, err := contract()
	if err != nil {
		t.Fatalf("reading the API's description: %v", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // a browser that went away
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err := agrees(router, r, recorded); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes()) // a browser that went away is no failure
	})
}

func agrees(router routers.Router, r *http.Request, answer *httptest.ResponseRecorder) error {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "", "", ""
	route, parameters, err := router.FindRoute(r)
	if err != nil {
		return err
	}
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: answer.Code, Header: answer.Header(),
		Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes())),
	})
}
