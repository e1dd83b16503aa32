//go:build linux && !portable

package leash

import (
	"os/exec"
	"syscall"
)

// prepare is called before the start; the function it returns ties the running process.
//
// On Linux the kernel holds the leash, from the first instant of the child's life.
// The signal is sent when the *thread* that forked ends, so the caller must be
// locked to its thread for as long as the child lives.
func prepare(cmd *exec.Cmd, orphan syscall.Signal) (tie func(pid int) (untie func(), err error)) {
	attributes(cmd).Pdeathsig = orphan
	return func(int) (func(), error) { return func() {}, nil }
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}
