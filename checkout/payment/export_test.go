package payment

import "time"

// OpenFor says how long the breaker of a worker stays open.
func (cfg *WorkerConfig) OpenFor(d time.Duration) { cfg.openTime = d }
