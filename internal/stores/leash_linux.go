//go:build linux && !portable

package stores

import (
	"os/exec"
	"syscall"
)

// leash makes the child end with us, however we end: kill -9 included. It is
// set before the start; the returned function ties it to the running process.
//
// On Linux the kernel does it, from the first instant of the child's life. The
// signal is sent when the *thread* that forked ends, so the caller must be
// locked to its thread for as long as the child lives.
func leash(cmd *exec.Cmd, orphan syscall.Signal) (tie func(pid int) (untie func(), err error)) {
	cmd.SysProcAttr.Pdeathsig = orphan
	return func(int) (func(), error) { return func() {}, nil }
}
