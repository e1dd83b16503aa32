package bench

import "golang.org/x/sys/unix"

// memoryBytes is the machine's memory, 0 if it can't be asked.
func memoryBytes() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
