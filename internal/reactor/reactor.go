// Package reactor keeps the connections of an HTTP/1.1 server on an event loop, and
// answers there, with no goroutine, what is asked the most.
//
//	socket ──▶ loop ──┬─ a request that Quick knows ──▶ Quick ──▶ Conn.Reply ──▶ the loop again
//	                  └─ everything else ──▶ Serve, in a goroutine, until it has answered ──▶ the loop again
//
// In a rush the same short request comes from a hundred thousand connections. A goroutine for
// each is woken twice for every request, to read it and to hear what came of it, and asks the
// kernel once in vain whether there is more. Here one goroutine reads whatever has come, and
// whoever knows the answer writes it.
//
// What is quick is decided on bytes that are all there and that can be read in one way only
// (see Request); the rest is Serve's as if nothing stood before it, from the first byte on.
// Serve sees a net.Conn that ends when its answer is written and no more has come: then the
// connection waits on the loop again. A connection is in one hand at a time: the loop's,
// Quick's or Serve's; its mutex guards the passing on.
//
// What is no request any more, but stays open for hours, goes over to a Watch.
package reactor

import (
	"net"
	"time"
)

// Config says what a reactor does with requests. Serve is required.
type Config struct {
	// Quick is offered every whole request of the strict form on the loop, and must not wait.
	// It returns false for what it doesn't know. If it returns true, Reply must be called once,
	// now or later, by anyone. The request is good until it returns.
	Quick func(c *Conn, q *Request) bool
	// Serve answers everything else, as fasthttp's ServeConn does: it ends by closing the connection,
	// unless another takes it over. It tells Conn.Between when it waits for the next request.
	Serve func(c net.Conn) error
	// Closed is told of each connection that has ended, and is nobody else's either; may be nil.
	Closed func()
	// Idle is how long a connection may wait for its next request. Required.
	Idle time.Duration
	// First is how long it may wait for its first one. Required.
	First time.Duration
	// Patience is how long a client may take to read a quick answer. Required.
	Patience time.Duration
}

// readSize is how much of a request the loop reads: one that is longer is not quick.
const readSize = 8 << 10
