//go:build !linux && !darwin

package bench

// memoryBytes is 0: this system isn't asked.
func memoryBytes() int64 { return 0 }
