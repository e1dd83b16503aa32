package engine

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"onsale"
)

func TestAWrongMethodIsToldTheRightOnes(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}, replies("GET", "/v1/x", 1), replies("DELETE", "/v1/x", 1), replies("POST", "/v1/y", 1)).start(t)
	for path, allow := range map[string]string{"/v1/x": "DELETE, GET, HEAD", "/v1/y": "POST", "/livez": "GET, HEAD", "/": "GET, HEAD"} {
		response, body := e.ask(t, "PUT", path, "")
		if response.StatusCode != 405 || response.Header.Get("Allow") != allow || !strings.Contains(body, "method_not_allowed") {
			t.Errorf("PUT %s: %d, Allow %q: %s", path, response.StatusCode, response.Header.Get("Allow"), body)
		}
	}
}

func TestHeadIsGetWithoutItsBody(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}, replies("GET", "/v1/x", "body"), replies("POST", "/v1/y", 1)).start(t)
	for _, path := range []string{"/v1/x", "/openapi.yaml", "/livez"} {
		get, text := e.ask(t, "GET", path, "")
		head, none := e.ask(t, "HEAD", path, "")
		if head.StatusCode != 200 || none != "" || head.ContentLength != int64(len(text)) || head.Header.Get("ETag") != get.Header.Get("ETag") {
			t.Errorf("HEAD %s: %d, %d bytes of %d, %q", path, head.StatusCode, head.ContentLength, len(text), none)
		}
	}
	if response, _ := e.ask(t, "HEAD", "/v1/y", ""); response.StatusCode != 405 {
		t.Errorf("HEAD of what has no GET: %d", response.StatusCode)
	}
}

func TestWhoHasTheBodyIsNotSentItAgain(t *testing.T) {
	t.Parallel()
	body := &atomic.Value{}
	body.Store("one")
	e := newEdge(t, Config{}, route{"GET", "/v1/x", anyone, 0, func(r *request) error { return r.validated(body.Load()) }}).start(t)
	for _, path := range []string{"/v1/x", "/openapi.yaml", "/asyncapi.yaml"} {
		first, _ := e.ask(t, "GET", path, "")
		tag := first.Header.Get("ETag")
		if !strings.HasPrefix(tag, `"`) || first.Header.Get("Cache-Control") != "no-cache" {
			t.Fatalf("%s: ETag %q, Cache-Control %q", path, tag, first.Header.Get("Cache-Control"))
		}
		for list, status := range map[string]int{
			tag: 304, "W/" + tag: 304, "*": 304, `"a,b", "c" , ` + tag: 304, `W/"x",W/` + tag + `,"y"`: 304,
			`"x"`: 200, `x`: 200, strings.Trim(tag, `"`): 200, `"x", "y`: 200, `W/"x"`: 200, ``: 200, `,`: 200,
		} {
			response, text := e.ask(t, "GET", path, "", "If-None-Match: "+list)
			if response.StatusCode != status || response.Header.Get("ETag") != tag || (text == "") != (status == 304) {
				t.Errorf("%s, If-None-Match: %s is answered %d, want %d", path, list, response.StatusCode, status)
			}
		}
		if response, _ := e.ask(t, "GET", path, "", `If-None-Match: "x"`, "If-None-Match: "+tag); response.StatusCode != 304 {
			t.Errorf("a list on two lines: %d", response.StatusCode)
		}
	}
	before, _ := e.ask(t, "GET", "/v1/x", "")
	body.Store("two")
	if after, _ := e.ask(t, "GET", "/v1/x", "", "If-None-Match: "+before.Header.Get("ETag")); after.StatusCode != 200 {
		t.Errorf("a body that has changed: %d", after.StatusCode)
	}
}

func TestAPanicIsOneRequestsAlone(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{Ready: func(context.Context) error { panic("not ready at all") }}, replies("GET", "/v1/x", 1),
		route{"GET", "/v1/panic", anyone, 0, func(*request) error { panic("out of paper") }}).start(t)
	for path, reason := range map[string]string{"/v1/panic": "out of paper", "/readyz": "not ready at all"} {
		response, body := e.ask(t, "GET", path, "")
		if response.StatusCode != 500 || !strings.Contains(body, `"internal"`) || strings.Contains(body, reason) {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
		if log := e.log.String(); !strings.Contains(log, reason) || !strings.Contains(log, "http_test.go") {
			t.Errorf("logged:\n%s", log)
		}
	}
	if n := e.metric("onsale_panics_total"); n != "2" {
		t.Errorf("counted: %s", n)
	}
	if response, _ := e.ask(t, "GET", "/v1/x", ""); response.StatusCode != 200 {
		t.Errorf("afterwards: %d", response.StatusCode)
	}
}

func TestReadinessIsAskedOnceASecondHoweverManyWantToKnow(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	e := newEdge(t, Config{Ready: func(context.Context) error {
		if asked.Add(1) == 1 {
			return errors.New("no store answers")
		}
		return nil
	}}).start(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if response, _ := e.ask(t, "GET", "/readyz", ""); response.StatusCode != 503 && response.StatusCode != 200 {
				t.Error(response.StatusCode)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n > 3 {
		t.Errorf("asked %d times", n)
	}
	eventually(t, "a new answer", func() bool {
		response, _ := e.ask(t, "GET", "/readyz", "")
		return response.StatusCode == 200
	})
}

func TestABodyOfTheWrongTypeIsToldWhatToSend(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}, route{"POST", "/v1/x", anyone, onsale.MaxBodyBytes, func(r *request) error {
		var body struct {
			Count int `json:"count"`
		}
		if err := r.read(&body); err != nil {
			return err
		}
		return r.noContent()
	}}).start(t)
	for body, says := range map[string]string{
		`[]`: "it must be an object, not an array", `"x"`: "it must be an object, not a string", `1.5`: "not a number", `true`: "not a bool",
		`{"count":[]}`: "field count can't be an array", `{"count":"x"}`: "field count can't be a string", `{"count":1.5}`: "field count can't be the number 1.5",
	} {
		if response, text := e.ask(t, "POST", "/v1/x", body); response.StatusCode != 400 || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s", body, response.StatusCode, text)
		}
	}
}

func TestALargeBodyIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}, replies("POST", "/v1/x", 1), replies("POST", "/v1/admin/events", 1)).start(t)
	for path, length := range map[string]string{"/v1/x": "16385", "/v1/admin/events": "1048577"} {
		c := e.say(t, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: "+length+"\r\n\r\n") // and not a byte of it
		if response, body := hear(t, c, "POST"); response == nil || response.StatusCode != 413 || !strings.Contains(body, "too_large") {
			t.Errorf("%s: %+v %s", path, response, body)
		}
	}
	if response, _ := e.ask(t, "POST", "/v1/x", strings.Repeat("x", onsale.MaxBodyBytes)); response.StatusCode != 200 {
		t.Errorf("the largest body: %d", response.StatusCode)
	}
}

func TestARequestThatEndsInTwoWaysIsRefused(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}, replies("POST", "/v1/x", 1)).start(t)
	const chunked = "Transfer-Encoding: chunked\r\n"
	for headers, status := range map[string]int{
		"Content-Length: 4\r\n" + chunked: 400, chunked + "content-length : 4\r\n": 400, chunked + "CONTENT-LENGTH: 4\r\n": 400, chunked: 200,
	} {
		c := e.say(t, "POST /v1/x HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n0\r\n\r\n")
		response, body := hear(t, c, "POST")
		if response == nil || response.StatusCode != status || response.Close != (status == http.StatusBadRequest) {
			t.Errorf("%q: %+v %s", headers, response, body)
		}
	}
}

func TestHeadersTooLargeAreToldSo(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}).start(t)
	response, body := e.ask(t, "GET", "/livez", "", "X: "+strings.Repeat("x", readBufferSize))
	if response.StatusCode != 431 || !strings.Contains(body, "headers_too_large") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestARequestCutShortByTimeIsToldSoAndAnIdleConnectionIsNot(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}, replies("POST", "/v1/x", 1))
	e.http.ReadTimeout /= 40
	e.start(t)
	for _, begun := range []string{"G", "GET /livez HTTP/1.1\r\nHo", "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
		"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"} {
		if response, body := hear(t, e.say(t, begun), "GET"); response == nil || response.StatusCode != 408 || !strings.Contains(body, "request_timeout") {
			t.Errorf("%q: %+v %s", begun, response, body)
		}
	}
	if response, body := hear(t, e.say(t, ""), "GET"); response != nil {
		t.Errorf("a connection that said nothing is told %d %s", response.StatusCode, body)
	}
	if n := e.metric(`onsale_http_requests_total{route="unreadable",code="request_timeout"}`); n != "4" {
		t.Errorf("counted: %s", n)
	}
}
