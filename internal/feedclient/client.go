package feedclient

import (
	"fmt"
	"net/url"
	"time"

	"onsale"
)

const (
	// firstDelay is within what time a client comes back that has no advice; it doubles with
	// each connection that came to nothing, up to longestDelay.
	firstDelay   = 500 * time.Millisecond
	longestDelay = 30 * time.Second
)

// Verdict is what became of a frame.
type Verdict string

// The verdicts.
const (
	Applied Verdict = "applied" // the view has moved, or is known to be current
	Ignored Verdict = "ignored" // the client has it already, can't use it, or doesn't know it
	Gap     Verdict = "gap"     // the view is behind: send the request that comes with it. Said once a gap
	Told    Verdict = "told"    // it is news, and not of the stock
)

// Client follows one event's feed through all of its connections, by the rules at
// onsale.FeedProtocol, and knows nothing of sockets or time. engine/web/assets/feed_client.js
// is the same in another language; testdata/cases.json holds both to the rules. The zero
// value has never been connected. Not safe for concurrent use.
type Client struct {
	fold     Fold
	bye      *onsale.FeedBye // of this connection; nil while the server hasn't said it
	attempts int             // connections since the last frame that was applied
}

// Opened begins a connection. It returns the query to put on the feed's URL, "" if the
// client needs a snapshot anyway.
func (c *Client) Opened() (query string) {
	c.bye = nil
	c.attempts++
	if !c.fold.Current() {
		return ""
	}
	view := c.fold.View()
	return url.Values{"epoch": {fmt.Sprint(view.Epoch)}, "seq": {fmt.Sprint(view.Seq)}}.Encode()
}

// Take takes a frame of the connection. request is what to send, nil for nothing. An error means
// that the server broke the protocol; the client goes on all the same, as the request says.
func (c *Client) Take(f *Frame) (v Verdict, request *onsale.FeedRequest, err error) {
	switch {
	case f.Snapshot != nil || f.Step() != nil:
		before := c.fold.View()
		gap, err := c.fold.Apply(f)
		switch {
		case gap:
			resume := c.fold.Resume()
			return Gap, &resume, err
		case f.Snapshot == nil && c.fold.View() == before:
			return Ignored, nil, err
		}
		c.attempts = 0
		return Applied, nil, nil
	case f.Bye != nil:
		c.bye = f.Bye
		return Told, nil, nil
	case f.Hello != nil || f.Queue != nil || f.Hold != nil || f.Order != nil:
		return Told, nil, nil
	}
	return Ignored, nil, nil
}

// Closed ends a connection that was closed with the code. The client comes back after a
// random part of the time, and signs in anew before that if it must.
func (c *Client) Closed(code int) (within time.Duration, signIn bool) {
	if c.bye != nil && c.bye.RetryWithinMs > 0 {
		within = time.Duration(c.bye.RetryWithinMs) * time.Millisecond
	} else {
		within = firstDelay << min(c.attempts, 10)
	}
	return min(within, longestDelay), code == onsale.CloseUnauthenticated
}

// View is Fold's.
func (c *Client) View() *onsale.FeedSnapshot { return c.fold.View() }

// Current is Fold's.
func (c *Client) Current() bool { return c.fold.Current() }
