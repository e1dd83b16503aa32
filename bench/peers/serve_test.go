package peers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// scripted is a peer that answers as the buyer's key says.
type scripted struct{}

func (scripted) Open(_ context.Context, event string, capacity, limit int64) error {
	if event != "arena" || capacity != 7 || limit != 2 {
		return errors.New("not as it was asked")
	}
	return nil
}

func (scripted) Hold(_ context.Context, r Request) (int64, error) {
	if r.Event != "arena" || r.Buyer != "Bearer ann" {
		return 0, errors.New("not as it was asked")
	}
	return 3, map[string]error{"none": ErrNoneLeft, "limit": ErrLimit, "busy": ErrBusy, "broken": io.ErrUnexpectedEOF}[r.Key]
}

func (scripted) Sold(context.Context, string) (int64, error) { return 5, nil }
func (scripted) Close() error                                { return nil }

func TestBothServersSpeakTheSame(t *testing.T) {
	t.Parallel()
	const wish, path = `{"lines":[{"section":"floor","quantity":1}]}`, "/v1/events/arena/holds"
	for name, serve := range map[string]func(context.Context, Peer, func(string) error) error{"fasthttp": serveFast, "net/http": serveNetHTTP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serveUntilEnd(t, serve)
			for _, c := range []struct{ method, path, key, body, want string }{
				{"PUT", "/events/arena", "", `{"capacity":7,"max_per_buyer":2}`, "204 "},
				{"PUT", "/events/arena", "", `{"capacity":0,"max_per_buyer":2}`, "400 not an event"},
				{"PUT", "/events/arena", "", `{"capacity":8,"max_per_buyer":2}`, "500 not as it was asked"},
				{"GET", "/events/arena", "", "", `200 {"sold":5}`},
				{"POST", path, "1", wish, `201 {"admission":3}`},
				{"POST", path, "none", wish, "409 none is left"},
				{"POST", path, "limit", wish, "409 the buyer has all that one may have"},
				{"POST", path, "busy", wish, "503 too many ask at once: ask again"},
				{"POST", path, "broken", wish, "500 unexpected EOF"},
				{"POST", path, "", wish, "400 not a hold of one admission"},
				{"POST", path, "1", strings.Replace(wish, ":1", ":2", 1), "400 not a hold of one admission"},
				{"GET", path, "1", wish, "404 "},
				{"GET", "/elsewhere", "", "", "404 "},
			} {
				if got := ask(t, c.method, url+c.path, c.key, c.body); got != c.want {
					t.Errorf("%s %s %q is answered %q, want %q", c.method, c.path, c.key, got, c.want)
				}
			}
		})
	}
}

// serveUntilEnd lets the scripted peer serve until the test ends, and returns its URL.
func serveUntilEnd(t *testing.T, serve func(context.Context, Peer, func(string) error) error) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- serve(ctx, scripted{}, func(url string) error { served <- url; return nil })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return <-served
}

func ask(t *testing.T, method, url, key, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	request.Header.Set("Authorization", "Bearer ann")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.Status[:3] + " " + string(said)
}
