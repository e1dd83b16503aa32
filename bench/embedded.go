package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"onsale/internal/leash"
)

const (
	// embeddedStart is how long an Onsale of our own may take until it serves.
	embeddedStart = 2 * time.Minute
	// embeddedStop is how long it may take to stop before it is killed.
	embeddedStop = 30 * time.Second
)

// embedded is an Onsale that runs for the bench alone: this very binary as `onsale
// demo` without a storm, in a data folder that goes with it. It is a process of its
// own, so that what it costs is not taken for the bench's, and never outlives us.
type embedded struct {
	URL        string
	AdminToken string

	process *os.Process
	ended   <-chan error // how it ended, once
	folder  string
}

var servingLine = regexp.MustCompile(`^serving (http://\S+)`)

// startEmbedded starts an Onsale and returns when it serves. What it says goes to
// status.
func startEmbedded(ctx context.Context, status io.Writer) (e *embedded, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the onsale binary: %w", err)
	}
	e = &embedded{AdminToken: rand.Text(), folder: filepath.Join(os.TempDir(), "onsale-bench-"+rand.Text())}
	demo := exec.Command(self, "demo", "--port", "0", "--storm", "0", "--data", e.folder)
	demo.Env = append(withoutSettings(os.Environ()), "ONSALE_ADMIN_TOKEN="+e.AdminToken) // which all may read on a command line
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                               // a Ctrl-C is for us, who then stop it
	demo.Stderr = status
	out, err := demo.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start an Onsale: %w", err)
	}
	if e.ended, err = leash.Start(demo, syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("start an Onsale: %w", err)
	}
	e.process = demo.Process
	served := make(chan string, 1)
	go func() { // ends with the process, whose output it drains
		defer close(served)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := servingLine.FindStringSubmatch(lines.Text()); m != nil {
				served <- m[1]
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, embeddedStart)
	defer cancel()
	select {
	case url, ok := <-served:
		if ok {
			e.URL = url
			return e, nil
		}
		err = errors.New("the Onsale for the bench ended before it served")
	case <-ctx.Done():
		err = fmt.Errorf("the Onsale for the bench does not serve: %w", ctx.Err())
	}
	return nil, errors.Join(err, e.stop())
}

// withoutSettings is an environment without what is meant for another Onsale: its
// stores must not be stormed.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "ONSALE_") })
}

// stop ends the Onsale and removes its data.
func (e *embedded) stop() error {
	kill := time.AfterFunc(embeddedStop, func() {
		_ = e.process.Kill() // it may have ended just now
	})
	defer kill.Stop()
	_ = e.process.Signal(os.Interrupt) // as above
	err := <-e.ended
	if err != nil {
		err = fmt.Errorf("the Onsale for the bench ended badly: %w", err)
	}
	return errors.Join(err, os.RemoveAll(e.folder))
}
