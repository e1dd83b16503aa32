package peers

import (
	"context"
	"crypto/rand"
	_ "embed"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

//go:embed unlock.lua
var unlockScript string

const (
	// lockTime is after how long a lock whose owner has died is free again.
	lockTime = 10 * time.Second
	// lockSafe is until when its owner may still write: such a lock has no fence, so
	// whoever writes after it has run out writes over someone else's work.
	lockSafe = lockTime / 2
	// lockContenders is how many requests of the process try for locks at once; who
	// finds it taken asks again after up to lockPause.
	lockContenders = 4
	lockPause      = time.Millisecond
	// lockPatience is how long a request tries before it is told to ask again.
	lockPatience = 10 * time.Second
)

// setNX sells admissions under a lock in Redis, one an event: lock, read, write, unlock. What belongs
// together goes in one round trip, two for a hold.
type setNX struct {
	*redis
	turns chan struct{} // has as many as contend
}

func openSetNX(ctx context.Context) (Peer, error) {
	r, err := startRedis(ctx, 1)
	if err != nil {
		return nil, err
	}
	return setNX{r, make(chan struct{}, lockContenders)}, nil
}

// Hold tries for the lock until it has it.
func (s setNX) Hold(ctx context.Context, q Request) (int64, error) {
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-patience.C:
		return 0, ErrBusy
	}
	token := rand.Text()
	for {
		began, b := time.Now(), s.client.B()
		lock := b.Set().Key(stockKey(q.Event) + ":lock").Value(token).Nx().PxMilliseconds(lockTime.Milliseconds()).Build()
		read := s.client.DoMulti(ctx, slices.Insert(q.reads(b), 0, lock)...)
		err := read[0].Error()
		if err == nil {
			return s.holdLocked(ctx, q, token, began, read[1:])
		}
		if !rueidis.IsRedisNil(err) {
			return 0, err
		}
		select {
		case <-time.After(mathrand.N(lockPause)):
		case <-patience.C:
			return 0, ErrBusy
		}
	}
}

// holdLocked decides, writes and unlocks. A connection runs its commands in their order, so that
// the lock is given back after what was written under it; and the stock is counted down first, so
// that who dies between two writes has sold too little and not too much.
func (s setNX) holdLocked(ctx context.Context, q Request, token string, began time.Time, read []rueidis.RedisResult) (int64, error) {
	b := s.client.B()
	unlock := b.Eval().Script(unlockScript).Numkeys(1).Key(stockKey(q.Event) + ":lock").Arg(token).Build()
	admission, done, err := decide(read)
	if !done && err == nil && time.Since(began) > lockSafe {
		err = ErrBusy
	}
	var write []rueidis.Completed
	if !done && err == nil {
		write = q.writes(b, admission)
	}
	for _, result := range s.client.DoMulti(ctx, append(write, unlock)...) {
		if failed := result.Error(); failed != nil {
			return 0, failed
		}
	}
	return admission, err
}
