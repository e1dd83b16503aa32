package bench

import "golang.org/x/sys/unix"

// memoryBytes is the machine's memory, 0 if it can't be asked.
func memoryBytes() int64 {
	size, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(size)
}
