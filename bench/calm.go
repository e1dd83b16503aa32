package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// autogroup says whether Linux shares a machine out among sessions (man 7 sched): each gets as much as any other,
// whatever its nice value. Each of Postgres's processes is a session of its own: one backend then
// gets as much as the shop, its feeds and the whole crowd together. On two processors that was seen to
// make the 99th percentile of a hold 500 ms instead of 185.
const autogroup = "/proc/sys/kernel/sched_autogroup_enabled"

// withoutAutogroup turns it off, and returns what turns it on again. Where there is no such thing, or we
// may not, all stays as it is.
func withoutAutogroup() (restore func() error) {
	was, err := os.ReadFile(autogroup)
	if err != nil || len(was) == 0 || was[0] != '1' || os.WriteFile(autogroup, []byte("0"), 0) != nil {
		return func() error { return nil }
	}
	return func() error { return os.WriteFile(autogroup, was, 0) }
}

// calm has a process that was just started give way, and those that it will start. Not if the system
// doesn't let us.
func calm(pid, nice int) { _ = unix.Setpriority(unix.PRIO_PROCESS, pid, nice) }
