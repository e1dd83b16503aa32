package engine

import (
	"strconv"

	"onsale"
)

// readAsks reads the body of a request for a hold. Nearly every one says its lines in
// the plainest way, which a scanner reads at a tenth of what a decoder costs; what it
// doesn't know, and what is wrong, is the decoder's.
func (r *request) readAsks() ([]onsale.Ask, error) {
	if asks, ok := scanAsks(r.ctx.PostBody()); ok {
		return asks, nil
	}
	var body struct {
		Lines []onsale.Ask `json:"lines"`
	}
	err := r.read(&body)
	return body.Lines, err
}

// scanAsks reads {"lines":[{"section":"…","quantity":1,"seats":["…"]}, …]} with these
// fields in any order, strings without escapes and whole numbers. ok is false for
// anything else.
func scanAsks(body []byte) (asks []onsale.Ask, ok bool) {
	s := scanner{rest: body}
	s.want('{')
	if name := s.text(); name != "lines" {
		return nil, false
	}
	s.want(':')
	s.list(func() {
		asks = append(asks, onsale.Ask{})
		s.ask(&asks[len(asks)-1])
	})
	s.want('}')
	s.space()
	return asks, !s.lost && len(s.rest) == 0
}

// scanner goes through a JSON text. Once it is lost it stays lost.
type scanner struct {
	rest []byte
	lost bool
}

// ask reads an object with an ask's plain fields, each once.
func (s *scanner) ask(a *onsale.Ask) {
	s.want('{')
	for first := true; !s.lost; first = false {
		if !first && !s.have(',') {
			break
		}
		name := s.text()
		s.want(':')
		switch {
		case name == "section" && a.Section == "":
			a.Section = s.text()
		case name == "quantity" && a.Quantity == 0:
			a.Quantity = s.number()
		case name == "seats" && a.Seats == nil:
			a.Seats = []string{}
			s.list(func() { a.Seats = append(a.Seats, s.text()) })
		default:
			s.lost = true
		}
	}
	s.want('}')
}

// list reads an array with at least one element.
func (s *scanner) list(element func()) {
	s.want('[')
	element()
	for !s.lost && s.have(',') {
		element()
	}
	s.want(']')
}

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// have reads a character, if it is the next.
func (s *scanner) have(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// want reads a character, or is lost.
func (s *scanner) want(c byte) {
	if !s.have(c) {
		s.lost = true
	}
}

// text reads a string of printable ASCII without escapes, or is lost.
func (s *scanner) text() string {
	s.want('"')
	for i, c := range s.rest {
		if c == '"' && !s.lost {
			text := string(s.rest[:i])
			s.rest = s.rest[i+1:]
			return text
		}
		if c < ' ' || c > '~' || c == '\\' {
			break
		}
	}
	s.lost = true
	return ""
}

// number reads a whole number above zero, or is lost.
func (s *scanner) number() int {
	s.space()
	i := 0
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(string(s.rest[:i]))
	if err != nil || n == 0 || s.rest[0] == '0' {
		s.lost = true
		return 0
	}
	s.rest = s.rest[i:]
	return n
}
