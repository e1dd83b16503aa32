package crashpoint

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// passes tells this test binary, as a child, how often to pass the point.
const passes = "PASS_AFTER_PIN"

func TestMain(m *testing.M) {
	if times := os.Getenv(passes); times != "" {
		if err := Arm(); err != nil {
			os.Exit(2)
		}
		for range len(times) {
			Reach(AfterProduce) // another one
			Reach(AfterPin)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestAnArmedPointEndsTheProcessAsKill9DoesTheNthTimeItIsReached(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arm    string
		times  int
		killed bool
		code   int
	}{
		"not armed":            {"", 5, false, 0},
		"the first time":       {"after pin", 1, true, 0},
		"the third time":       {"after pin@3", 3, true, 0},
		"not reached so often": {"after pin@3", 2, false, 0},
		"no such point":        {"after lunch", 1, false, 2},
		"no such number":       {"after pin@0", 1, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), passes+"="+strings.Repeat("x", test.times), Variable+"="+test.arm)
			out, err := child.CombinedOutput()
			var exited *exec.ExitError
			if err != nil && !errors.As(err, &exited) {
				t.Fatal(err)
			}
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			if !ok {
				t.Fatalf("%T is no wait status", child.ProcessState.Sys())
			}
			if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; killed != test.killed {
				t.Errorf("it ended with %v\n%s", child.ProcessState, out)
			}
			if !test.killed && status.ExitStatus() != test.code {
				t.Errorf("exit %d, want %d\n%s", status.ExitStatus(), test.code, out)
			}
			if at, said := Reached(strings.TrimSpace(string(out))); said != test.killed || said && at != AfterPin {
				t.Errorf("it said %q", out)
			}
		})
	}
}

// TestTheTableInTheDesignNamesEveryPoint holds DESIGN.md's "a process dies …" to Points,
// name by name and in order: what is promised at each can be read there.
func TestTheTableInTheDesignNamesEveryPoint(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| a process dies …")
	if !found {
		t.Fatal(`DESIGN.md has no table "a process dies …"`)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var named []Point
	for row := range strings.Lines(table) {
		first := strings.SplitN(strings.TrimPrefix(row, "|"), "|", 2)[0]
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			named = append(named, Point(m[1]))
		}
	}
	if !slices.Equal(named, Points) {
		t.Errorf("the table names\n%q\nthe code has\n%q", named, Points)
	}
}
