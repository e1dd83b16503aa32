package holds

import "time"

// lane is a kind of operation. Each kind waits in a queue of its own and each call takes
// from all in turn, so that a crowd of one kind holds up no other: who pays isn't kept
// waiting by those who try for seats, nor are either by settlement, which comes in hundreds.
type lane int

const (
	laneHolds      lane = iota // hold, general, block, and what brings stock for them: spare, lend, borrow
	laneOwners                 // release, pin, accept, extend, look: what its buyer does, who is told 202 and then looks
	laneSettlement             // confirm, free, refund: nobody waits
	laneCount
)

// laneOf is each operation's.
var laneOf = map[string]lane{
	"hold": laneHolds, "general": laneHolds, "block": laneHolds, "spare": laneHolds, "lend": laneHolds, "borrow": laneHolds,
	"release": laneOwners, "pin": laneOwners, "accept": laneOwners, "extend": laneOwners, "look": laneOwners,
	"confirm": laneSettlement, "free": laneSettlement, "refund": laneSettlement,
}

// maxQueued is how many operations of one kind and event may wait for a call. The next
// is answered 503: at 40,000 a second this is under half a second of waiting.
const maxQueued = 16_384

// lanes are the operations that wait, in the order of their coming within each lane. The
// zero value is empty.
type lanes struct {
	queues [laneCount][]*operation
	next   lane // whose turn it is
}

// waiting is how many wait in all lanes.
func (q *lanes) waiting() (n int) {
	for _, queue := range q.queues {
		n += len(queue)
	}
	return n
}

// fits reports whether the operations may wait too. They are of one kind.
func (q *lanes) fits(ops []*operation) bool {
	return len(ops) == 0 || len(q.queues[laneOf[ops[0].name]])+len(ops) <= maxQueued
}

// add puts operations of one kind at the end of their lane.
func (q *lanes) add(ops []*operation) {
	if len(ops) > 0 {
		l := laneOf[ops[0].name]
		q.queues[l] = append(q.queues[l], ops...)
	}
}

// take removes at most so many operations: from each lane in turn, and all from the
// others where one is empty.
func (q *lanes) take(most int) []*operation {
	waiting := q.waiting()
	if waiting == 0 {
		*q = lanes{next: q.next} // queues that were long once give their memory back
		return nil
	}
	batch := make([]*operation, 0, min(waiting, most))
	for len(batch) < cap(batch) {
		if queue := q.queues[q.next]; len(queue) > 0 {
			batch = append(batch, queue[0])
			q.queues[q.next] = queue[1:]
		}
		q.next = (q.next + 1) % laneCount
	}
	return batch
}

// giveBack puts what was taken back in front of its lanes, in the same order.
func (q *lanes) giveBack(ops []*operation) {
	var again [laneCount][]*operation
	for _, op := range ops {
		l := laneOf[op.name]
		again[l] = append(again[l], op)
	}
	for l := range again {
		if len(again[l]) > 0 {
			q.queues[l] = append(again[l], q.queues[l]...)
		}
	}
}

// overdue removes what came before a time.
func (q *lanes) overdue(before time.Time) (late []*operation) {
	for l, queue := range q.queues {
		n := 0
		for n < len(queue) && queue[n].came.Before(before) {
			n++
		}
		late = append(late, queue[:n]...)
		q.queues[l] = queue[n:]
	}
	return late
}
