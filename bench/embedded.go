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
	"time"
)

const (
	// embeddedStart is how long an Onsale of our own may take until it serves.
	embeddedStart = 2 * time.Minute
	// embeddedStop is how long it may take to stop before it is killed.
	embeddedStop = 30 * time.Second
)

// embedded is an Onsale that runs for the bench alone: this very binary as `onsale
// demo` without a storm, in a data folder that goes with it. It is a process of its
// own, so that what it costs is not taken for the bench's.
type embedded struct {
	URL        string
	AdminToken string

	process *exec.Cmd
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
	e.process = exec.Command(self, "demo", "--port", "0", "--storm", "0", "--data", e.folder, "--admin-token", e.AdminToken)
	e.process.Stderr = status
	out, err := e.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start an Onsale: %w", err)
	}
	if err := e.process.Start(); err != nil {
		return nil, fmt.Errorf("start an Onsale: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
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
		if !ok {
			return nil, errors.New("the Onsale for the bench ended before it served")
		}
		e.URL = url
		return e, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the Onsale for the bench does not serve: %w", ctx.Err())
	}
}

// stop ends the Onsale and removes its data.
func (e *embedded) stop() error {
	kill := time.AfterFunc(embeddedStop, func() {
		_ = e.process.Process.Kill() // it may have ended just now
	})
	defer kill.Stop()
	_ = e.process.Process.Signal(os.Interrupt) // as above
	err := e.process.Wait()
	return errors.Join(err, os.RemoveAll(e.folder))
}
