package bench

import "runtime"

// Machine is what the figures of a report were measured on: they mean nothing without it.
type Machine struct {
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"` // 0 where it can't be asked
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Go          string `json:"go"`
}

func thisMachine() Machine {
	return Machine{
		Cores:       runtime.NumCPU(),
		MemoryBytes: memoryBytes(),
		OS:          runtime.GOOS,
		Arch:        runtime.GOARCH,
		Go:          runtime.Version(),
	}
}
