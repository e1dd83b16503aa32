package realtime

import (
	"context"

	"onsale"
	"onsale/holds"
)

// Source tells what an event's stock is, from the first look on.
type Source interface {
	// Watch registers l for an event's changes. It calls l.Reset with the whole
	// stock at once (before it returns, or when the first snapshot has been read)
	// and after every gap and every new epoch; l.Delta with each next delta
	// otherwise. The calls for one event never overlap and are in order. stop
	// unregisters l and waits for a call that is under way.
	Watch(ctx context.Context, layout *onsale.Layout, l Listener) (stop func(), err error)
}

// Listener is told of an event's changes.
type Listener = holds.Listener
