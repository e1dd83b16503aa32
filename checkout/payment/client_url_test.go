package payment_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

func TestAProvidersKeyIsInNoError(t *testing.T) {
	for _, url := range []string{"http://:sesame@:80x", "sesame", "redis://:sesame@127.0.0.1", "http://sesame@"} {
		if _, err := payment.NewClient(payment.ClientConfig{URL: url}); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s is told %v", url, err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	for _, url := range []string{strings.Replace(server.URL, "http://", "http://sesame@", 1), "http://sesame:sesame@127.0.0.1:1"} {
		client, err := payment.NewClient(payment.ClientConfig{URL: url, AnswerTime: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, _, err = client.LookUp(t.Context(), onsale.Charge{Order: "ord_x"})
		if err == nil || strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), "http://127.0.0.1:") {
			t.Errorf("%s is told %v", url, err)
		}
		if !strings.HasSuffix(url, ":1") && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a time-out is told %v", err)
		}
	}
}
