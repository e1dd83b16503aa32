//go:build linux || darwin

package bench

import "golang.org/x/sys/unix"

// fileLimit is how many files this process may have open. Go raises the soft limit to
// the hard one by itself at the start.
func fileLimit() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur, err
}
