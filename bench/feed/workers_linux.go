package feed

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// workers are the kinds of the bench's own processes.
var workers = map[string]func(in io.Reader, out io.Writer) error{
	"crowd": runCrowd,
	"floor": func(in io.Reader, out io.Writer) error { return serveTasks(in, out, new(floor).do) },
}

// roomForConns is how many connections a process may have.
func roomForConns() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit on open files: %w", err)
	}
	if limit.Cur < 2*besidesFeeds {
		return 0, wrong("a process may open %d files: raise that with ulimit -n", limit.Cur)
	}
	return int(min(limit.Cur, 1<<20)) - besidesFeeds, nil
}
