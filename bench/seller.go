package bench

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strconv"
	"time"

	"onsale"
)

// seller is a system that a crowd asks for holds over HTTP, each in the same way: Onsale, a
// peer, or a stranger's. It is the scenario's goroutine's alone.
type seller struct {
	name   string
	is     string // in a line
	book   book
	server *Server // nil: a stranger's, whose processes are not ours to see
	crowd  *load
	tokens []string // each wire has an equal share

	// What the answers contain, besides their status.
	heldMark, refusedMark []byte

	traits   traits
	sales    []*sale
	cpu      costs
	holds    latency // of the rounds that count
	refusals latency // likewise
	answers  answers // likewise
}

// book puts a seller's events on sale, and counts what it has sold of them.
type book interface {
	open(event onsale.EventID, capacity int64) error
	sold(event onsale.EventID) (int64, error)
}

// sale is an event that a seller had on sale, and what the crowd was told.
type sale struct {
	event    onsale.EventID
	capacity int64
	told     answers
	given    []uint64 // hashes of what those were given who hold
}

// answers counts them by what they say.
type answers struct {
	held, refused int64
	busy          int64 // asked to ask again
}

func (t *answers) add(other answers) {
	t.held += other.held
	t.refused += other.refused
	t.busy += other.busy
}

func (t answers) count() int64 { return t.held + t.refused + t.busy }

// asking is what a crowd asks for.
type asking struct {
	of           *sale
	part         string // of the keys: no two askings of a sale have the same
	lasting      time.Duration
	untilRefused bool // each wire stops at its first refusal
}

// answered is what came of it.
type answered struct {
	answers
	took  time.Duration
	waits []time.Duration // of each answer, as long as its wire waited
}

// askingWire is one wire's part of an asking.
type askingWire struct {
	answers
	asked int
	done  bool
	key   []byte
	sent  time.Time
	waits []time.Duration
	given []uint64
}

// givenSeed is that of all hashes of what is given.
var givenSeed = maphash.MakeSeed()

// open puts an event on sale.
func (s *seller) open(event onsale.EventID, capacity int64) (*sale, error) {
	if err := s.book.open(event, capacity); err != nil {
		return nil, fmt.Errorf("%s: putting an event on sale: %w", s.name, err)
	}
	of := &sale{event: event, capacity: capacity}
	s.sales = append(s.sales, of)
	return of, nil
}

// ask lets the crowd ask for one admission after another, each wire for its own buyers in turn,
// each time under a key of its own.
func (s *seller) ask(ctx context.Context, a asking) (answered, error) {
	share := len(s.tokens) / len(s.crowd.wires)
	wires := make([]askingWire, len(s.crowd.wires))
	path := "/v1/events/" + string(a.of.event) + "/holds"
	began := time.Now()
	_, err := s.crowd.drive(ctx, a.lasting, func(wire int, buffer []byte) ([]byte, error) {
		w := &wires[wire]
		if w.done || w.asked == share*onsale.MaxPerBuyer {
			return buffer, errNoMore
		}
		token := s.tokens[wire*share+w.asked%share]
		w.key = strconv.AppendInt(append(append(w.key[:0], a.part...), '-'), int64(w.asked), 10)
		w.asked++
		buffer = appendRequest(buffer, path, token, string(w.key), oneOfTheFloor)
		w.sent = time.Now()
		return buffer, nil
	}, func(wire, status int, body []byte) error {
		w := &wires[wire]
		w.waits = append(w.waits, time.Since(w.sent))
		switch {
		case status == http.StatusCreated && bytes.Contains(body, s.heldMark):
			w.held++
			w.given = append(w.given, maphash.Bytes(givenSeed, body))
		case status == http.StatusConflict && bytes.Contains(body, s.refusedMark):
			w.refused++
			w.done = a.untilRefused
		case status == http.StatusServiceUnavailable:
			w.busy++
		default:
			return fmt.Errorf("asked for one admission: status %d, %.300q", status, body)
		}
		return nil
	})
	all := answered{took: time.Since(began)}
	for i := range wires {
		all.add(wires[i].answers)
		all.waits = append(all.waits, wires[i].waits...)
		a.of.given = append(a.of.given, wires[i].given...)
	}
	a.of.told.add(all.answers)
	return all, err
}

// check holds what the crowd was told of a sale against what the seller's own book says.
func (s *seller) check(of *sale) ([]onsale.Violation, error) {
	sold, err := s.book.sold(of.event)
	if err != nil {
		return nil, fmt.Errorf("%s: counting what it sold: %w", s.name, err)
	}
	var found []onsale.Violation
	broken := func(promise onsale.Invariant, format string, args ...any) {
		found = append(found, onsale.Violation{Invariant: promise, Subject: s.name, Detail: "event " + string(of.event) + ": " + fmt.Sprintf(format, args...)})
	}
	if most := max(sold, of.told.held); most > of.capacity {
		broken(onsale.InvariantClaims, "sold %d of %d: oversold", most, of.capacity)
	}
	slices.Sort(of.given)
	if twice := len(of.given) - len(slices.Compact(slices.Clone(of.given))); twice > 0 {
		broken(onsale.InvariantClaims, "gave %d holds that others had been given: oversold", twice)
	}
	if sold != of.told.held {
		broken(onsale.InvariantKeys, "told buyers of %d holds, and has %d", of.told.held, sold)
	}
	if left := of.capacity - sold; of.told.refused > 0 && left > 0 {
		broken(onsale.InvariantCounts, "refused %d requests, and has %d left", of.told.refused, left)
	}
	return found, nil
}
