package simulator

import (
	"context"
	"errors"
	"net/http"
	"time"

	"onsale"
)

// silence is how long a request that is never answered keeps its connection, if the
// client has more patience than any client should.
const silence = time.Minute

// do lets a request meet its fate: it fails before anything is done, or what it asks
// for is done, late if so fated, whether the client is still there or not. What failed
// is counted until it is done.
func (s *Simulator) do(ctx context.Context, what string, fate fate, record func() (entry, error)) (entry, error) {
	if fate.failBefore {
		s.keys.fail(what)
		return entry{}, errFailed
	}
	if !s.waitFor(context.WithoutCancel(ctx), fate.delay) {
		return entry{}, errStopping
	}
	made, err := record()
	if err == nil {
		s.keys.forget(what)
	}
	return made, err
}

// reply answers a request that has met its fate.
func (s *Simulator) reply(w http.ResponseWriter, r *http.Request, body any, then then, err error) {
	switch {
	case errors.Is(err, errKeyReused):
		refuse(w, http.StatusUnprocessableEntity, onsale.CodeKeyReused, err.Error())
	case errors.Is(err, errNotAuthorised), errors.Is(err, errInvalidToken):
		refuse(w, http.StatusUnprocessableEntity, onsale.CodeBadRequest, err.Error())
	case errors.Is(err, errStopping):
		refuse(w, http.StatusServiceUnavailable, onsale.CodeUnavailable, err.Error())
	case err != nil:
		refuse(w, http.StatusInternalServerError, onsale.CodeInternal, err.Error())
	case then == thenFail:
		refuse(w, http.StatusInternalServerError, onsale.CodeInternal, "something went wrong")
	case then == thenSilence:
		s.waitFor(r.Context(), silence)
		panic(http.ErrAbortHandler) // ends the connection without an answer
	default:
		answer(w, body)
	}
}

// waitFor returns true when the time has passed, false if ctx or the simulator ends first.
func (s *Simulator) waitFor(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.stopping.Done():
	}
	return false
}
