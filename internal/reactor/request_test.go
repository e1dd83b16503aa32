package reactor

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

const plainRequest = "POST /v1/events/concert/holds HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer t\r\n" +
	"idempotency-key: k-1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

func TestPlainRequestIsRead(t *testing.T) {
	t.Parallel()
	var q Request
	if !q.Parse([]byte(plainRequest)) {
		t.Fatal("not read")
	}
	if string(q.Path) != "/v1/events/concert/holds" || string(q.Authorization) != "Bearer t" || string(q.Key) != "k-1" || string(q.Body) != "{}" {
		t.Errorf("read as %q %q %q %q", q.Path, q.Authorization, q.Key, q.Body)
	}
}

func TestRequestOfABrowserIsPlain(t *testing.T) {
	t.Parallel()
	var q Request
	if !q.Parse([]byte("POST /v1/events/concert/holds HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\nContent-Length: 2\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\nAuthorization: Bearer t\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n" +
		"Content-Type: application/json\r\nOrigin: http://127.0.0.1:8080\r\nSec-Fetch-Mode: cors\r\nReferer: http://127.0.0.1:8080/\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: a=b; c=d\r\n\r\n{}")) {
		t.Error("it is not")
	}
}

func TestWhatCanBeReadInTwoWaysIsNotRead(t *testing.T) {
	t.Parallel()
	replaced := func(old, by string) string { return strings.Replace(plainRequest, old, by, 1) }
	for name, text := range map[string]string{
		"another method":      replaced("POST", "GET"),
		"another version":     replaced("1.1", "1.0"),
		"no host":             replaced("Host: shop\r\n", ""),
		"two hosts":           replaced("Host: shop\r\n", "Host: shop\r\nhost: other\r\n"),
		"a query":             replaced("/holds", "/holds?x=1"),
		"an escape":           replaced("concert", "con%63ert"),
		"a dot":               replaced("/holds", "/../holds"),
		"an empty segment":    replaced("/holds", "//holds"),
		"an absolute target":  replaced("/v1", "http://shop/v1"),
		"two lengths":         replaced("Content-Length: 2", "Content-Length: 2\r\nContent-Length: 2"),
		"a signed length":     replaced("Length: 2", "Length: +2"),
		"a listed length":     replaced("Length: 2", "Length: 2, 2"),
		"a hexadecimal one":   replaced("Length: 2", "Length: 0x2"),
		"no length":           replaced("Content-Length: 2\r\n", ""),
		"too short a length":  replaced("Length: 2", "Length: 1"),
		"too long a length":   replaced("Length: 2", "Length: 3"),
		"a coding":            replaced("Content-Length: 2", "Content-Length: 2\r\nTransfer-Encoding: chunked"),
		"an expectation":      replaced("Content-Length: 2", "Content-Length: 2\r\nExpect: 100-continue"),
		"a last request":      replaced("Content-Length: 2", "Content-Length: 2\r\nConnection: close"),
		"an upgrade":          replaced("Content-Length: 2", "Content-Length: 2\r\nUpgrade: websocket"),
		"two tokens":          replaced("Host", "authorization: Bearer u\r\nHost"),
		"two keys":            replaced("Host", "Idempotency-Key: k-2\r\nHost"),
		"an empty key":        replaced("k-1", ""),
		"a folded line":       replaced("Host: shop\r\n", "Host: shop\r\n more\r\n"),
		"a blank in a name":   replaced("Content-Length:", "Content-Length :"),
		"a bare line feed":    replaced("Host: shop\r\n", "Host: shop\n"),
		"a bare return":       replaced("shop", "sh\rop"),
		"a zero byte":         replaced("shop", "sh\x00op"),
		"half of the headers": plainRequest[:60],
		"no body yet":         plainRequest[:len(plainRequest)-2],
		"another one after":   plainRequest + plainRequest,
		"nothing":             "",
	} {
		var q Request
		if q.Parse([]byte(text)) {
			t.Errorf("%s is read: %q", name, text)
		}
	}
}

// FuzzParse holds Parse to what the server behind it reads of the same bytes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(plainRequest))
	f.Add([]byte(strings.ReplaceAll(plainRequest, ": ", ":\t ")))
	f.Add([]byte(strings.Replace(plainRequest, "Content-Type", "X", 1)))
	f.Add([]byte(strings.Replace(plainRequest, "Content-Type: application/json", "Connection: keep-alive", 1)))
	f.Fuzz(func(t *testing.T, in []byte) {
		var q Request
		if !q.Parse(in) {
			return
		}
		var other fasthttp.Request
		rest := bufio.NewReader(bytes.NewReader(in))
		if err := other.Read(rest); err != nil {
			t.Fatalf("the server behind refuses %q: %v", in, err)
		}
		if n := rest.Buffered(); n != 0 {
			t.Fatalf("the server behind sees %d bytes after %q", n, in)
		}
		h := &other.Header
		if !h.IsPost() || string(other.URI().Path()) != string(q.Path) || len(other.URI().QueryString()) > 0 || !bytes.Equal(other.Body(), q.Body) ||
			!bytes.Equal(h.Peek("Authorization"), q.Authorization) || !bytes.Equal(h.Peek("Idempotency-Key"), q.Key) || h.ConnectionClose() {
			t.Fatalf("%q is read as %q %q %q %q, and behind as %q %q %q %q", in, q.Path, q.Authorization, q.Key, q.Body,
				other.URI().Path(), h.Peek("Authorization"), h.Peek("Idempotency-Key"), other.Body())
		}
	})
}
