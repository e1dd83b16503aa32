// Package feedbin writes and reads the binary frames of onsale.v1.bin. They say
// what a snapshot, a delta and a sale of onsale.v1 say, no more and no less, at a third to a
// fifth of the size. docs/feed.md has the bytes.
//
// A delta names sections by their place in the event, which never changes; whoever
// reads it must know the event's sections, from a snapshot of any time.
//
// A frame is decoded whole or not at all. Whatever the bytes, decoding them neither
// panics nor takes more memory than a frame of the largest event would.
package feedbin

import (
	"errors"
	"fmt"

	"onsale"
)

// Version is in the first half of a frame's first byte.
const Version = 1

// The kinds are in the second half of it.
const (
	kindSnapshot = 1
	kindDelta    = 2
	kindSale     = 3
)

// maxLetters is how long an event's seat string can be: each row has a seat, and an end.
const maxLetters = 2 * onsale.MaxSeatsPerEvent

// sales are the states of a sale by their numbers.
var sales = [...]onsale.Sale{onsale.SaleDraft, onsale.SaleOpen, onsale.SalePaused, onsale.SaleClosed, onsale.SaleRecovering}

// letters are those of a seat string, by their numbers of three bits.
var letters = [...]byte{
	onsale.SeatAvailable, onsale.SeatHeld, onsale.SeatPinned, onsale.SeatSold,
	onsale.SeatWheelchair, onsale.SeatCompanion, onsale.RowEnd,
}

const letterBits = 3

// noLetter is the number of a byte that is no letter.
const noLetter = 0xff

// numbers are the letters' numbers, by letter.
var numbers = func() (n [256]byte) {
	for i := range n {
		n[i] = noLetter
	}
	for i, letter := range letters {
		n[letter] = byte(i)
	}
	return n
}()

// The forms of a section's seats in a snapshot. The shorter is taken.
const (
	formPacked = 0 // three bits a letter
	formRuns   = 1 // a number a run of equal letters
)

var errUnknown = errors.New("it isn't a frame of this version")

func checkLetters(text string) error {
	for i := range len(text) {
		if numbers[text[i]] == noLetter {
			return fmt.Errorf("%q is no state of a seat", text[i])
		}
	}
	return nil
}

// packedLength is how many bytes n letters take.
func packedLength(n int) int { return (n*letterBits + 7) / 8 }
