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
	"strconv"
	"strings"
	"sync"
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
// demo` without a storm, in a data folder that goes with it.
type embedded struct {
	*Server
	AdminToken string
	folder     string
}

// Server is this very binary as something that serves HTTP for the bench alone. It is
// a process of its own, so that what it costs is not taken for the bench's, and never
// outlives us.
type Server struct {
	URL string
	Own []string // where each process of a fleet answers for itself alone; nil of one process

	name    string
	process *os.Process
	ended   <-chan error // how it ended, once
}

var (
	servingLine = regexp.MustCompile(`^serving (http://\S+)`)
	servingLog  = regexp.MustCompile(`msg=serving .*url=(http://\S+)`)
	ownLog      = regexp.MustCompile(` process=\d+ url=(http://\S+)/metrics`)
)

// startEmbedded starts an Onsale and returns when it serves. What it says goes to
// status.
func startEmbedded(ctx context.Context, status io.Writer) (*embedded, error) {
	e := &embedded{AdminToken: rand.Text(), folder: filepath.Join(os.TempDir(), "onsale-bench-"+rand.Text())}
	var err error
	e.Server, err = StartServer(ctx, "the Onsale for the bench", status, []string{"ONSALE_ADMIN_TOKEN=" + e.AdminToken}, // which all may read on a command line
		"demo", "--port", "0", "--storm", "0", "--data", e.folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(e.folder))
	}
	return e, nil
}

// stop ends the Onsale and removes its data.
func (e *embedded) stop() error {
	return errors.Join(e.Server.Stop(), os.RemoveAll(e.folder))
}

// StartServer starts the binary with a command that prints "serving" and its URL, and
// returns when it does. What it says besides goes to status.
func StartServer(ctx context.Context, name string, status io.Writer, env []string, args ...string) (*Server, error) {
	return start(ctx, 0, name, env, args, func(command *exec.Cmd) (io.Reader, error) {
		command.Stderr = status
		return command.StdoutPipe()
	}, func(line string) []string {
		if m := servingLine.FindStringSubmatch(line); m != nil {
			return m[1:]
		}
		return nil
	})
}

// StartRole starts a role of Onsale, whose log says where it serves, and returns when it
// does. What it warns of goes to status. With --procs and --metrics-listen it is a fleet, whose
// processes have all said where each is found before the fleet says that it serves.
func StartRole(ctx context.Context, name string, status io.Writer, env []string, args ...string) (*Server, error) {
	return StartNice(ctx, 0, name, status, env, args...)
}

// How much others give way to whoever sells, where all share a machine that has no processor to spare.
const (
	// FeedNice is the feed's, with 150,000 clients: a hold would wait behind a whole round of it. The feed
	// waits instead, and tells more changes at once.
	FeedNice = 10
	// CrowdNice is that of processes which stand for browsers: theirs are other machines, on which nobody sells.
	CrowdNice = 10
)

// Nice is a command that gives way to others, as nice(1) has it: 0 not at all, 19 always. Who gives way at all doesn't interrupt
// others when it has something to do either (SCHED_BATCH, see chrt(1)), and so does more of it at once. Where there is no
// such program, or it may not, it doesn't.
func Nice(nice int, program string, args ...string) *exec.Cmd {
	line := append([]string{program}, args...)
	if nice > 0 {
		if mayBatch() {
			line = by(line, "chrt", "-b", "0")
		}
		line = by(line, "nice", "-n", strconv.Itoa(nice))
	}
	return exec.Command(line[0], line[1:]...)
}

// mayBatch reports whether the system lets a command be one that doesn't interrupt others: a container's may not.
var mayBatch = sync.OnceValue(func() bool { return exec.Command("chrt", "-b", "0", "true").Run() == nil })

// by has a program begin a command, if there is one: it becomes that command, which has all of its threads from there.
func by(line []string, program string, args ...string) []string {
	path, err := exec.LookPath(program)
	if err != nil {
		return line
	}
	return append(append([]string{path}, args...), line...)
}

// StartNice is StartRole of a role that gives way to others; see Nice.
func StartNice(ctx context.Context, nice int, name string, status io.Writer, env []string, args ...string) (*Server, error) {
	var own []string
	return start(ctx, nice, name, env, args, func(command *exec.Cmd) (io.Reader, error) {
		return command.StderrPipe()
	}, func(line string) []string {
		if m := servingLog.FindStringSubmatch(line); m != nil {
			return append(m[1:], own...)
		}
		if m := ownLog.FindStringSubmatch(line); m != nil {
			own = append(own, m[1])
		}
		if !strings.Contains(line, " level=INFO ") {
			fmt.Fprintf(status, "%s: %s\n", name, line)
		}
		return nil
	})
}

// start starts the binary and returns when hear, which is told each line of the output
// that tap opens, has returned where it serves, and each of its processes after that.
func start(ctx context.Context, nice int, name string, env, args []string, tap func(*exec.Cmd) (io.Reader, error), hear func(line string) (urls []string)) (s *Server, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the onsale binary: %w", err)
	}
	s = &Server{name: name}
	command := Nice(nice, self, args...)
	command.Env = append(withoutSettings(os.Environ()), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who then stop it
	out, err := tap(command)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if s.ended, err = leash.Start(command, syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.process = command.Process
	served := make(chan []string, 1)
	go func() { // ends with the process, whose output it drains
		defer close(served)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if urls := hear(lines.Text()); len(urls) > 0 {
				select {
				case served <- urls:
				default: // it has said so before
				}
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, embeddedStart)
	defer cancel()
	select {
	case urls, ok := <-served:
		if ok {
			s.URL, s.Own = urls[0], urls[1:]
			return s, nil
		}
		err = fmt.Errorf("%s ended before it served", name)
	case <-ctx.Done():
		err = fmt.Errorf("%s does not serve: %w", name, ctx.Err())
	}
	return nil, errors.Join(err, s.Stop())
}

// withoutSettings is an environment without what is meant for another Onsale: its
// stores must not be stormed.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "ONSALE_") })
}

// Stop ends the server and waits for it.
func (s *Server) Stop() error {
	kill := time.AfterFunc(embeddedStop, func() {
		_ = s.process.Kill() // it may have ended just now
	})
	defer kill.Stop()
	_ = s.process.Signal(os.Interrupt) // as above
	if err := <-s.ended; err != nil {
		return fmt.Errorf("%s ended badly: %w", s.name, err)
	}
	return nil
}
