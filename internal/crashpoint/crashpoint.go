// Package crashpoint names the places where a process may die and something must
// have been promised about it: between two steps of a purchase. DESIGN.md §3 says
// for each what is left and what happens; a test holds that table to the list here.
//
// A point costs one atomic load and does nothing, unless the process was started with
// Variable naming it. Then it ends the process there as kill -9 does: no deferred
// call runs, nothing is flushed, no one is told goodbye. `onsale bench faults` starts
// such processes; nobody else should.
package crashpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that arms a point: its name or, to let it pass
// a few times first, NAME@N, which ends the process when it is reached the N-th time.
const Variable = "ONSALE_CRASH_POINT"

// Point is the name of a place in the code.
type Point string

// The points of every purchase, in the order in which it passes them.
const (
	AfterPin             Point = "after pin"
	AfterProduce         Point = "after produce"
	BeforeClaimCommit    Point = "before COMMIT of the claim"
	AfterClaimCommit     Point = "after COMMIT of the claim"
	BeforeClaimOffset    Point = "before the offset commit of onsale-claim"
	BeforeCharge         Point = "before the charge"
	AfterCharge          Point = "after the charge"
	BeforePayOffset      Point = "before the offset commit of onsale-pay"
	BeforeFinaliseCommit Point = "before COMMIT of finalise"
	AfterFinaliseCommit  Point = "after COMMIT of finalise"
	BeforeFinaliseOffset Point = "before the offset commit of onsale-finalise"
	BeforeTellingRedis   Point = "before telling Redis"
	BeforeConfirmOffset  Point = "before the offset commit of onsale-confirm"
	BeforeTellingBuyer   Point = "before telling the buyer"
)

// The points of what few purchases come to: a charge that is called off, a payment that
// comes late, a refund.
const (
	BeforeVoid          Point = "before the void"
	AfterVoid           Point = "after the void"
	BeforeReclaimCommit Point = "before COMMIT of a late payment"
	AfterReclaimCommit  Point = "after COMMIT of a late payment"
	AfterRefundCommit   Point = "after COMMIT of a refund"
	BeforePayingBack    Point = "before paying back"
	AfterPayingBack     Point = "after paying back"
	AfterPaidBackCommit Point = "after COMMIT of paying back"
	BeforeRefundIsTold  Point = "before a refund is done with"
)

// OfPurchases are the points that every purchase passes, in that order.
var OfPurchases = []Point{
	AfterPin, AfterProduce,
	BeforeClaimCommit, AfterClaimCommit, BeforeClaimOffset,
	BeforeCharge, AfterCharge, BeforePayOffset,
	BeforeFinaliseCommit, AfterFinaliseCommit, BeforeFinaliseOffset,
	BeforeTellingRedis, BeforeConfirmOffset, BeforeTellingBuyer,
}

// Points are all of them: those, and then the others.
var Points = append(slices.Clone(OfPurchases),
	BeforeVoid, AfterVoid,
	BeforeReclaimCommit, AfterReclaimCommit,
	AfterRefundCommit, BeforePayingBack, AfterPayingBack, AfterPaidBackCommit, BeforeRefundIsTold,
)

// BeforeOffsetCommit is the point of a consumer group, before the offsets of a batch
// are committed whose work is durable. A group that is no stage of a purchase has one
// that nothing arms.
func BeforeOffsetCommit(group string) Point { return Point("before the offset commit of " + group) }

// arming is the point at which this process shall die.
type arming struct {
	point Point
	left  atomic.Int64 // how often it may still be reached and passed, and once more
}

var armed atomic.Pointer[arming] // nil but in processes that are started to die

// Arm arms the point that Variable names, if it names one. An error says what to
// write instead; a point that no code reaches would prove nothing.
func Arm() error {
	text := os.Getenv(Variable)
	if text == "" {
		return nil
	}
	a, err := parse(text)
	if err != nil {
		return err
	}
	armed.Store(a)
	return nil
}

func parse(text string) (*arming, error) {
	name, times, counted := strings.Cut(text, "@")
	a := &arming{point: Point(name)}
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(times, 10, 32); err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q must end with @ and a number from 1 on, or without", Variable, text)
		}
	}
	if !slices.Contains(Points, a.point) {
		return nil, fmt.Errorf("%s: there is no crash point %q", Variable, name)
	}
	a.left.Store(n)
	return a, nil
}

// Reach is called at a point. It returns, unless the process is to die there.
func Reach(p Point) {
	if a := armed.Load(); a != nil {
		a.reach(p)
	}
}

func (a *arming) reach(p Point) {
	if p != a.point || a.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintln(os.Stderr, farewell+string(p))
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err) // a process may always signal itself
	}
	select {} // the signal comes at any moment: not one step further
}

// farewell begins what a process says on standard error when it dies at a point.
const farewell = "crash point reached: "

// Reached returns the point at which a process died that has said such a line.
func Reached(line string) (p Point, ok bool) {
	name, ok := strings.CutPrefix(line, farewell)
	return Point(name), ok
}
