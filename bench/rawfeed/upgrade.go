package rawfeed

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// upgradeKey is any 16 bytes in base 64: nothing here checks the answer to it.
const upgradeKey = "b25zYWxlIGlzIHNvbGQuLg=="

// Upgrade is the request that opens the feed at a path of a host, in a protocol.
func Upgrade(host, path, protocol string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + protocol + "\r\nSec-WebSocket-Key: " + upgradeKey + "\r\n\r\n")
}

// Answer is what an upgrade was answered.
type Answer uint8

const (
	// Unfinished is an answer of which more must come.
	Unfinished Answer = iota
	// Upgraded says that frames follow.
	Upgraded
	// Busy says that there is no room now, or that the process hasn't heard of the event yet, as it may not for
	// a second after it was made.
	Busy
	// Refused is any other answer, or none.
	Refused
)

// mostHead is the longest head of an answer that is waited for.
const mostHead = 64 << 10

// ReadAnswer reads the answer to an upgrade from the beginning of what has come. rest is what comes
// after it, a part of data; after is when who finds it Busy may come again; err says what was Refused.
func ReadAnswer(data []byte) (answer Answer, rest []byte, after time.Duration, err error) {
	head, rest, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	switch {
	case !ok && len(data) < mostHead:
		return Unfinished, data, 0, nil
	case bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")):
		return Upgraded, rest, 0, nil
	case bytes.HasPrefix(head, []byte("HTTP/1.1 503 ")):
		return Busy, nil, retryAfter(head), nil
	case bytes.HasPrefix(head, []byte("HTTP/1.1 404 ")):
		return Busy, nil, time.Second, nil
	}
	return Refused, nil, 0, fmt.Errorf("the upgrade was answered %.100q", head)
}

// retryAfter is what a 503 asks for, or a second.
func retryAfter(head []byte) time.Duration {
	if _, value, ok := bytes.Cut(head, []byte("\r\nRetry-After: ")); ok {
		text, _, _ := bytes.Cut(value, []byte("\r\n"))
		if seconds, err := strconv.Atoi(string(text)); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return time.Second
}
