//go:build !linux || portable

package leash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// watch reads from us until we end or say that the child has, and signals the
// child in the first case.
const watch = `read -r word; [ "$word" = done ] || kill -"$1" "$2"`

// prepare is called before the start; the function it returns ties the running process.
//
// A small shell waits for the end of a pipe that only we can write to. (Built
// with `-tags portable` this runs on Linux too, so that it can be tested there.)
func prepare(_ *exec.Cmd, orphan syscall.Signal) (tie func(pid int) (untie func(), err error)) {
	return func(pid int) (func(), error) {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("leash: %w", err)
		}
		watcher := exec.Command("/bin/sh", "-c", watch, "leash", strconv.Itoa(int(orphan)), strconv.Itoa(pid))
		watcher.Stdin = read
		watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = watcher.Start()
		_ = read.Close() // the watcher has its own
		if err != nil {
			return nil, errors.Join(fmt.Errorf("leash: %w", err), write.Close())
		}
		return func() {
			// If these fail the watcher is gone, and with it what they are for.
			_, _ = write.WriteString("done\n")
			_ = write.Close()
			_ = watcher.Wait()
		}, nil
	}
}
