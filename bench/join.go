package bench

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Workers of other machines join at a port that strangers may find, too. Until somebody has said the token they are
// worth a few kilobytes, a few seconds and a goroutine; nobody waits for them.

const (
	// joinPatience is how long all workers may take to join.
	joinPatience = 2 * time.Minute
	// joinWord is how long somebody may take to say who they are.
	joinWord = 10 * time.Second
	// maxStrangers is how many may be about to say it. Who comes then waits to be let in.
	maxStrangers = 4 * maxWorkers
)

// errNotAll says that workers are missing.
var errNotAll = fmt.Errorf("the others have not come within %v", joinPatience)

// gather waits until so many workers have joined, and has each listened to.
func (c *crew) gather(ctx context.Context, listener net.Listener, token string, want int, r *rush) error {
	ctx, late := context.WithTimeoutCause(ctx, joinPatience, errNotAll)
	defer late()
	ctx, cancel := c.with(ctx)
	joined := make(chan *hand)
	var admitting sync.WaitGroup
	defer admitting.Wait()
	defer cancel(nil)
	admitting.Go(func() { cancel(admit(ctx, listener, token, joined)) })
	for len(c.hands) < want {
		select {
		case h := <-joined:
			c.hands = append(c.hands, h)
			go c.listen(h, r) // ends with the connection; leave waits for it
		case <-ctx.Done():
			return fmt.Errorf("%d of %d workers have joined: %w", len(c.hands), want, context.Cause(ctx))
		}
	}
	return nil
}

// admit takes in who says the token, and returns when ctx has ended or nobody can come any more.
func admit(ctx context.Context, listener net.Listener, token string, joined chan<- *hand) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var greeting sync.WaitGroup
	defer greeting.Wait()
	room := make(chan struct{}, maxStrangers)
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		greeting.Go(func() {
			defer func() { <-room }()
			h := greet(ctx, conn, token)
			if h == nil {
				return
			}
			select {
			case joined <- h:
			case <-ctx.Done():
				_ = conn.Close() // there are enough
			}
		})
	}
}

// greet hears who has come. It returns nil for a stranger, and for who takes too long to say so.
func greet(ctx context.Context, conn net.Conn, token string) *hand {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	h := &hand{conn: conn, out: json.NewEncoder(conn), in: newHearing(conn), done: make(chan tidings, 1), ended: make(chan struct{})}
	var first tidings
	err := errors.Join(conn.SetReadDeadline(time.Now().Add(joinWord)), h.in.next(&first, maxGreeting))
	if err != nil || subtle.ConstantTimeCompare([]byte(first.Token), []byte(token)) != 1 {
		_ = conn.Close() // there is nothing to say to it
		return nil
	}
	h.room = first.Room
	return h
}
