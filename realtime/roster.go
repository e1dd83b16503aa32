package realtime

import "sync"

// roster is the connections of a hub. A connection keeps its place for as long
// as it is there, so a pass over the places, a few at a time and without holding
// the lock while it works, misses none that was there when it began, whoever
// comes and goes meanwhile. Places that were left are taken again.
type roster struct {
	mu    sync.Mutex
	conns []*conn // under mu: by place; nil where nobody is
	free  []int   // under mu: the empty places
}

func (r *roster) add(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.free); n > 0 {
		c.place = r.free[n-1]
		r.free = r.free[:n-1]
		r.conns[c.place] = c
		return
	}
	c.place = len(r.conns)
	r.conns = append(r.conns, c)
}

func (r *roster) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c.place] = nil
	r.free = append(r.free, c.place)
}

// places is how many places there are, taken and empty.
func (r *roster) places() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// chunk calls do for the connections of fanOutChunk places. It returns false
// when there are no places from there on.
func (r *roster) chunk(from int, do func(*conn)) bool {
	var taken [fanOutChunk]*conn
	r.mu.Lock()
	more := from < len(r.conns)
	n := 0
	if more {
		n = copy(taken[:], r.conns[from:])
	}
	r.mu.Unlock()
	for _, c := range taken[:n] {
		if c != nil {
			do(c)
		}
	}
	return more
}

// each calls do for the connections at every step-th place, beginning with first.
func (r *roster) each(first, step int, do func(*conn)) {
	var taken []*conn
	r.mu.Lock()
	for place := first; place < len(r.conns); place += step {
		if c := r.conns[place]; c != nil {
			taken = append(taken, c)
		}
	}
	r.mu.Unlock()
	for _, c := range taken {
		do(c)
	}
}
