// Mutants breaks the pipeline of a purchase on purpose, one mistake at a time, and runs
// the test that is there to notice it: a test that no mistake turns red proves nothing.
//
//	go run ./internal/mutants            every mutant (make mutants)
//	go run ./internal/mutants -run RE    those whose name or file matches
//	go run ./internal/mutants -check     only that each can still be made (make check)
//
// A mutant is a row of mutants.go. Nothing in the tree is touched: the broken file goes
// into a folder of its own, and `go test -overlay` reads it from there, SQL and Lua that
// are embedded as well. First each test must be green without a mutant; then it must be
// red, by itself and not since nothing could be built. It ends with 1 if a mutant
// survives, or can't be made since its old text is gone or is there twice.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// testTime bounds one run of a test, which may not end at all with a mutant.
	testTime = 3 * time.Minute
	// shownLines is how much is shown of a run that went otherwise than it should.
	shownLines = 30
)

func main() {
	check := flag.Bool("check", false, "only check that each mutant can be made")
	run := flag.String("run", "", "only mutants whose name or file matches this `RE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := execute(ctx, *check, *run); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1) //nolint:gocritic // the signals need no stopping any more
	}
}

func execute(ctx context.Context, check bool, run string) error {
	wanted, err := regexp.Compile(run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !wanted.MatchString(m.name + " " + m.file) })
	if len(chosen) == 0 {
		return fmt.Errorf("-run: no mutant matches %q", run)
	}
	var errs []error
	for _, m := range chosen {
		if _, err := m.mutated(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil || check {
		return err
	}
	if err := green(ctx, chosen); err != nil {
		return err
	}
	caught := 0
	for _, m := range chosen {
		began := time.Now()
		err := m.red(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Printf("SURVIVED  %s\n          %v\n", m.name, err)
			continue
		}
		caught++
		fmt.Printf("caught    %s: by %s in %.0fs\n", m.name, m.test, time.Since(began).Seconds())
	}
	fmt.Printf("%d of %d mutants were caught\n", caught, len(chosen))
	if caught < len(chosen) {
		return fmt.Errorf("%d survived: their tests see nothing", len(chosen)-caught)
	}
	return nil
}

// mutated is the mutant's file with the mistake in it.
func (m mutant) mutated() (string, error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return "", fmt.Errorf("%s: %w (run it at the repository's root)", m.name, err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%s: its old text is in %s %d times, not once: bring internal/mutants up to date", m.name, m.file, n)
	}
	return strings.Replace(string(text), m.old, m.now, 1), nil
}

// green runs the mutants' tests on what is right: one that is red anyway catches nothing.
func green(ctx context.Context, chosen []mutant) error {
	tests := map[string][]string{}
	for _, m := range chosen {
		if !slices.Contains(tests[m.in], m.test) {
			tests[m.in] = append(tests[m.in], m.test)
		}
	}
	for _, in := range slices.Sorted(maps.Keys(tests)) {
		said, err := runTests(ctx, in, tests[in], "")
		if err != nil {
			return fmt.Errorf("without any mutant the tests of %s are red:\n%s", in, said)
		}
		for _, name := range tests[in] {
			if !strings.Contains(said, "--- PASS: "+name+" ") {
				return fmt.Errorf("%s has no test %s", in, name)
			}
		}
	}
	return nil
}

// red runs the mutant's test with the mistake. It returns nil if the test has noticed.
func (m mutant) red(ctx context.Context) (err error) {
	text, err := m.mutated()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "onsale-mutant-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	overlay, err := overlaid(folder, m.file, text)
	if err != nil {
		return err
	}
	said, err := runTests(ctx, m.in, []string{m.test}, overlay)
	switch {
	case err == nil:
		return fmt.Errorf("%s passes with it", m.test)
	case !strings.Contains(said, "--- FAIL: "+m.test+" "):
		return fmt.Errorf("%s did not fail by itself:\n%s", m.test, said)
	}
	return nil
}

// overlaid writes a file and what tells the go command to read it in place of the tree's.
func overlaid(folder, file, text string) (overlay string, err error) {
	instead := filepath.Join(folder, filepath.Base(file))
	overlay = filepath.Join(folder, "overlay.json")
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]map[string]string{"Replace": {path: instead}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(instead, []byte(text), 0o600), os.WriteFile(overlay, body, 0o600))
}

// runTests runs tests of a package, and returns the end of what was said.
func runTests(ctx context.Context, in string, tests []string, overlay string) (said string, err error) {
	args := []string{"test", "-count", "1", "-v", "-timeout", testTime.String(), "-run", "^(" + strings.Join(tests, "|") + ")$"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+in)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test ends what it started
	out, err := cmd.CombinedOutput()
	var told []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "--- PASS: ") || strings.Contains(line, "--- FAIL: ") || !strings.HasPrefix(line, "=== ") {
			told = append(told, line)
		}
	}
	verdicts := slices.DeleteFunc(slices.Clone(told), func(line string) bool { return !strings.HasPrefix(line, "--- ") })
	return strings.Join(append(verdicts, told[max(0, len(told)-shownLines):]...), ""), err
}
