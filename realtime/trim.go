package realtime

const (
	// trimAfter is how many feeds must have been opened for it to be worth giving memory back.
	trimAfter = 1_000
	// trimCalm is the part of those of which fewer may have come in the last step of a
	// heartbeat: the herd is over.
	trimCalm = 0.01
)

// trimmer says when to give memory back to the system. A herd leaves garbage behind, the
// requests of its upgrades above all, and Go keeps room for as much again: with 10,000 idle
// feeds a third of what a process had. Owned by the heartbeat.
type trimmer struct {
	entered int // feeds that were ever opened, at the last step
	trimmed int // the same, when memory was last given back
}

// due is told at each step how many feeds were ever opened, and reports whether memory
// should be given back now.
func (t *trimmer) due(entered int) bool {
	fresh := entered - t.entered
	t.entered = entered
	since := entered - t.trimmed
	if since < trimAfter || float64(fresh) >= trimCalm*float64(since) {
		return false
	}
	t.trimmed = entered
	return true
}
