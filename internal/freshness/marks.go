// Package freshness tells how old what a follower has is, without comparing clocks
// and without asking when something was written: it remembers what the leader had at
// some moments, by our own clock, and which of these the follower has reached.
package freshness

import "time"

// Marks are what the leader had at moments, the newest few. T is a position: of a
// log, or of each part of one. Not safe for concurrent use.
type Marks[T any] struct {
	most  int
	marks []mark[T] // oldest first
}

type mark[T any] struct {
	at   time.Time
	what T
}

// NewMarks returns marks of which the newest so many are kept. Together they must
// span more time than the age that matters: no older one is known.
func NewMarks[T any](most int) *Marks[T] { return &Marks[T]{most: most} }

// Note says what the leader had. The moment is one before it was asked, so that all
// it had then is in the answer.
func (m *Marks[T]) Note(at time.Time, what T) {
	if len(m.marks) == m.most {
		m.marks = append(m.marks[:0], m.marks[1:]...)
	}
	m.marks = append(m.marks, mark[T]{at, what})
}

// Reached returns the last moment of which the follower has everything. ok is false
// if it has reached none of those that are known; the moment is then the oldest one,
// which it is behind of, or the zero time if there is none.
func (m *Marks[T]) Reached(has func(T) bool) (at time.Time, ok bool) {
	for i := len(m.marks) - 1; i >= 0; i-- {
		if has(m.marks[i].what) {
			return m.marks[i].at, true
		}
	}
	if len(m.marks) > 0 {
		return m.marks[0].at, false
	}
	return time.Time{}, false
}
