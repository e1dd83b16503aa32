package reactor

// A Watch is the simpler loop: of sockets that are open for hours and on which next to nothing comes, as
// feeds are. It reads nothing and answers nothing itself: it tells each socket's owner what there is to do.
//
//	socket ──▶ loop ──▶ Owner.Ready(what, buffer), one call at a time, which reads and writes without waiting
//
// The promise: after something has come, a full socket takes more again, or it has ended, its owner is
// told so, once at least; and what is told of one socket never reaches the owner of another, though the system
// gives a descriptor that was closed to the next socket at once. A socket has one owner, and only the
// loop ends it: whoever else wants that shuts it down, of which the loop is told in turn. So nobody can write
// to a descriptor that is someone else's by now, if the owner only keeps its writers out when it closes.

// Ready is what a socket's owner is told.
type Ready uint8

const (
	// Readable means that there may be something to read. There may be more than the buffer takes.
	Readable Ready = 1 << iota
	// Writable means that it may take more again.
	Writable
	// Ending means that its peer will send no more, after what can be read. Readable is told with it.
	Ending
	// Ended means that both sides are shut, or it is broken. Nothing can be read or written that anyone waits for.
	Ended
)

// Owner has a socket. Ready is called on the loop, so it must not wait, and the buffer is its until it
// returns. If it returns true it is called again with the same, after the others had their turn: no
// event will tell of what it left unread. It closes the socket by Watch.Close, and there alone.
type Owner interface {
	Ready(what Ready, buffer []byte) (again bool)
}
