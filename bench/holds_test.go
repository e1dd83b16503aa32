package bench

import (
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
)

// What a crowd has asked for before the time is over is all that its CPU time is shared among.
func TestCPUTimeIsSharedAmongTheAnswersThatWereGiven(t *testing.T) {
	t.Parallel()
	to, err := dialLoad(t.Context(), serveFor(t, func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(201) }), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := to.close(); err != nil {
			t.Error(err)
		}
	}()
	r := &holdsRun{cfg: HoldsConfig{Lasting: time.Hour}, tokens: []string{"one", "two", "three", "four"}}
	_, answers, err := r.askAll(t.Context(), to, "arena", 1, 201, "")
	if want := int64(4 * onsale.MaxPerBuyer); err != nil || answers != want {
		t.Errorf("%d answers, %v: the buyers may ask for %d", answers, err, want)
	}
}
