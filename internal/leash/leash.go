// Package leash starts processes that never outlive us: however we end, kill -9
// included, they are sent a signal.
package leash

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts cmd, and has it sent orphan when this process ends. The channel
// gets what cmd.Wait returns, once, when it has ended. Whoever calls it must see
// the process end.
func Start(cmd *exec.Cmd, orphan syscall.Signal) (ended <-chan error, err error) {
	started, waited := make(chan error, 1), make(chan error, 1)
	go func() { // ends with the process
		runtime.LockOSThread() // see prepare
		defer runtime.UnlockOSThread()
		untie, err := start(cmd, orphan)
		started <- err
		if err == nil {
			err = cmd.Wait()
			untie()
			waited <- err
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return waited, nil
}

func start(cmd *exec.Cmd, orphan syscall.Signal) (untie func(), err error) {
	tie := prepare(cmd, orphan)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	untie, err = tie(cmd.Process.Pid)
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill())
		_ = cmd.Wait() // how it ended is no news
		return nil, err
	}
	return untie, nil
}
