package reactor

import "bytes"

// Request is an HTTP/1.1 request of the strict form: POST, with the headers that matter at
// most once, a Content-Length and all of its body, and nothing after it. Its parts lie in the
// loop's buffer.
type Request struct {
	Path          []byte // from the first slash to the blank, without a query
	Authorization []byte // the header's value; nil if there is none
	Key           []byte // the value of Idempotency-Key; nil if there is none
	Body          []byte
}

var (
	post          = []byte("POST /")
	version       = []byte(" HTTP/1.1\r\n")
	authorization = []byte("authorization")
	key           = []byte("idempotency-key")
	length        = []byte("content-length")
	host          = []byte("host")
	connection    = []byte("connection")
	keepAlive     = []byte("keep-alive")
)

// unusual are headers that change what a request or its connection means: a request that has
// one of them is not of the strict form.
var unusual = [][]byte{
	[]byte("transfer-encoding"), []byte("content-encoding"), []byte("upgrade"),
	[]byte("expect"), []byte("te"), []byte("trailer"), []byte("keep-alive"), []byte("proxy-connection"),
	[]byte("x-http-method-override"),
}

// maxLength bounds the digits of a Content-Length.
const maxLength = 4

// Parse reads a request of the strict form. It returns false for all that is not: then it may
// be any other request, the beginning of one, or nonsense. What it accepts every server reads
// in the same way: lines end in CR LF, names are tokens directly before their colon, nothing is
// folded, repeated or escaped.
func (q *Request) Parse(in []byte) bool {
	if !bytes.HasPrefix(in, post) {
		return false
	}
	*q = Request{}
	end := bytes.IndexByte(in, '\r')
	if end < 0 || len(in) < end+2 {
		return false
	}
	line := in[:end+2]
	if !bytes.HasSuffix(line, version) {
		return false
	}
	q.Path = line[len(post)-1 : len(line)-len(version)]
	if !plainPath(q.Path) {
		return false
	}
	rest, size, hosts := in[end+2:], -1, 0
	for {
		if len(rest) < 2 {
			return false
		}
		if rest[0] == '\r' {
			if rest[1] != '\n' {
				return false
			}
			rest = rest[2:]
			break
		}
		name, value, after, ok := header(rest)
		if !ok || !q.note(name, value, &size, &hosts) {
			return false
		}
		rest = after
	}
	if hosts != 1 || size < 0 || len(rest) != size {
		return false
	}
	q.Body = rest
	return true
}

// plainPath reports whether a path means itself: it has no query, escapes or empty segments.
func plainPath(path []byte) bool {
	for i, c := range path {
		switch {
		case letterOrDigit(c), c == '-', c == '_':
		case c == '/':
			if i > 0 && path[i-1] == '/' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// plainHost reports whether a host is a name or an IPv4 address, and perhaps a port.
func plainHost(host []byte) bool {
	name, port, ported := bytes.Cut(host, []byte{':'})
	for _, c := range name {
		if !letterOrDigit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(name) > 0 && ported == (len(port) > 0) && len(port) <= 5
}

func letterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// header cuts one off: its name and its value, without blanks around it.
func header(in []byte) (name, value, after []byte, ok bool) {
	colon := 0
	for colon < len(in) && tokens[in[colon]] {
		colon++
	}
	if colon == 0 || colon == len(in) || in[colon] != ':' {
		return nil, nil, nil, false
	}
	end := colon + 1 + bytes.IndexByte(in[colon+1:], '\r')
	if end == colon || end+1 >= len(in) || in[end+1] != '\n' {
		return nil, nil, nil, false
	}
	value = bytes.Trim(in[colon+1:end], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, nil, false
		}
	}
	return in[:colon], value, in[end+2:], true
}

// note takes what matters of a header. It returns false if the request is not of the strict
// form because of it.
func (q *Request) note(name, value []byte, size, hosts *int) bool {
	switch len(name) {
	case len(host):
		if bytes.EqualFold(name, host) {
			*hosts++
			return *hosts == 1 && plainHost(value)
		}
	case len(connection):
		if bytes.EqualFold(name, connection) {
			return bytes.EqualFold(value, keepAlive) // browsers say so; it changes nothing
		}
	case len(authorization):
		if bytes.EqualFold(name, authorization) {
			first := q.Authorization == nil
			q.Authorization = value
			return first && len(value) > 0
		}
	case len(key):
		if bytes.EqualFold(name, key) {
			first := q.Key == nil
			q.Key = value
			return first && len(value) > 0
		}
	case len(length):
		if bytes.EqualFold(name, length) {
			if *size >= 0 || len(value) == 0 || len(value) > maxLength {
				return false
			}
			*size = 0
			for _, digit := range value {
				if digit < '0' || digit > '9' {
					return false
				}
				*size = 10**size + int(digit-'0')
			}
			return true
		}
	}
	for _, other := range unusual {
		if len(name) == len(other) && bytes.EqualFold(name, other) {
			return false
		}
	}
	return true
}

// tokens are the bytes of a header's name. Source: RFC 9110, section 5.6.2.
var tokens = func() (set [256]bool) {
	for c := range set {
		set[c] = letterOrDigit(byte(c)) || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0
	}
	return set
}()
