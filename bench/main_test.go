package bench

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// fasthttp ends its cleaners by themselves: the client's up to idleTimeout after the last connection
	// was closed, the server's up to ten seconds after it has ended.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// quickSeed gives a crowd of 60 at least four who let their hold go, two who give it
// back, five who double-click, three who reopen their feed and four whose card is declined.
const quickSeed = 19312

// quick is a rush that a test has the time for.
func quick(f *fake, users int) RushConfig {
	return RushConfig{
		Users: users, Over: 200 * time.Millisecond, Target: f.URL, AdminToken: operatorToken, Seed: quickSeed,
		Think: 4 * time.Millisecond, ResultTimeout: 10 * time.Second, ExpiryWait: time.Millisecond, FeedTimeout: 2 * time.Second,
	}
}
