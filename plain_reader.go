package onsale

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// ParseLines returns what json.Unmarshal would read, from what AppendLines writes and from
// what Postgres makes of it.
func ParseLines(text string) (lines []Line, err error) {
	r := plainReader{text: text}
	if lines = r.lines(); r.ended() {
		return lines, nil
	}
	return lines, fresh(&lines, text)
}

// ParseJSON reads a purchase as json.Unmarshal would read it into an empty one.
func (p *Purchase) ParseJSON(text []byte) error {
	return readPlain(p, text, func(r *plainReader) {
		switch r.name {
		case "order":
			p.Order = OrderID(r.string())
		case "hold":
			p.Hold = HoldID(r.string())
		case "event":
			p.Event = EventID(r.string())
		case "epoch":
			p.Epoch = Epoch(r.number())
		case "generation":
			p.Generation = r.number()
		case "buyer":
			p.Buyer = BuyerID(r.string())
		case "lines":
			p.Lines = r.lines()
		case "amount":
			p.Amount = r.amount()
		case "currency":
			p.Currency = r.string()
		case "payment_token":
			p.PaymentToken = r.string()
		case "at":
			p.At = r.time()
		default:
			r.odd = true
		}
	})
}

// ParseJSON reads a charge as json.Unmarshal would read it into an empty one.
func (c *Charge) ParseJSON(text []byte) error {
	return readPlain(c, text, func(r *plainReader) {
		switch r.name {
		case "order":
			c.Order = OrderID(r.string())
		case "event":
			c.Event = EventID(r.string())
		case "amount":
			c.Amount = r.amount()
		case "currency":
			c.Currency = r.string()
		case "payment_token":
			c.PaymentToken = r.string()
		case "at":
			c.At = r.time()
		case "asked_at":
			c.AskedAt = r.time()
		default:
			r.odd = true
		}
	})
}

// ParseJSON reads a result as json.Unmarshal would read it into an empty one.
func (c *ChargeResult) ParseJSON(text []byte) error {
	return readPlain(c, text, func(r *plainReader) {
		switch r.name {
		case "order":
			c.Order = OrderID(r.string())
		case "event":
			c.Event = EventID(r.string())
		case "outcome":
			c.Outcome = ChargeOutcome(r.string())
		case "reference":
			c.Reference = r.string()
		case "amount":
			c.Amount = r.amount()
		case "currency":
			c.Currency = r.string()
		case "reason":
			c.Reason = r.string()
		case "at":
			c.At = r.time()
		default:
			r.odd = true
		}
	})
}

// ParseJSON reads news as json.Unmarshal would read it into an empty one.
func (n *OrderNews) ParseJSON(text []byte) error {
	return readPlain(n, text, func(r *plainReader) {
		switch r.name {
		case "order":
			n.Order = OrderID(r.string())
		case "hold":
			n.Hold = HoldID(r.string())
		case "event":
			n.Event = EventID(r.string())
		case "buyer":
			n.Buyer = BuyerID(r.string())
		case "lines":
			n.Lines = r.lines()
		case "left":
			n.Left = r.lines()
		case "state":
			n.State = OrderState(r.string())
		case "reason":
			n.Reason = r.string()
		case "at":
			n.At = r.time()
		default:
			r.odd = true
		}
	})
}

// ParseJSON reads a hold as json.Unmarshal would read it into an empty one.
func (h *Hold) ParseJSON(text []byte) error {
	return readPlain(h, text, func(r *plainReader) {
		switch r.name {
		case "id":
			h.ID = HoldID(r.string())
		case "event":
			h.Event = EventID(r.string())
		case "state":
			h.State = HoldState(r.string())
		case "generation":
			h.Generation = r.number()
		case "expires_at":
			h.ExpiresAt = r.time()
		case "lines":
			r.odd = r.odd || h.Lines != nil // of what comes twice, json.Unmarshal mixes both
			h.Lines = r.lines()
		case "amount":
			h.Amount = r.amount()
		case "currency":
			h.Currency = r.string()
		default:
			r.odd = true
		}
	})
}

// ParseJSON reads a refusal, and a problem+json that it came as, as json.Unmarshal would read it into an empty one.
func (e *Error) ParseJSON(text []byte) error {
	return readPlain(e, text, func(r *plainReader) {
		switch r.name {
		case "type", "title":
			r.string()
		case "status":
			r.amount()
		case "code":
			e.Code = Code(r.string())
		case "detail":
			e.Detail = r.string()
		case "section":
			e.Section = r.string()
		case "seats":
			e.Seats = r.strings()
		case "available":
			n := r.amount()
			e.Available = &n
		case "nearby":
			r.odd = r.odd || e.Nearby != nil
			e.Nearby = array(r, (*plainReader).offer)
		default:
			r.odd = true
		}
	})
}

// readPlain reads an object into an empty value: member is called for each of its members, whose
// value it reads from r, or calls r odd. What is not plain is left to json.Unmarshal.
func readPlain[T any](v *T, text []byte, member func(r *plainReader)) error {
	r := plainReader{text: string(text)} // of which all texts are part: one allocation
	for r.member() {
		member(&r)
	}
	if r.ended() {
		return nil
	}
	return fresh(v, r.text)
}

// fresh has json.Unmarshal read the text into an empty value.
func fresh[T any](v *T, text string) error {
	*v = *new(T)
	return json.Unmarshal([]byte(text), v)
}

// plainReader reads a text of plain JSON. Once it meets anything else it is odd, and what it
// returns means nothing.
type plainReader struct {
	text string
	at   int    // how far it has been read
	name string // of the member whose value comes next
	odd  bool

	inside bool // of an object, of which a member was read
}

// ended reports whether all of the text was read, and all of it was plain.
func (r *plainReader) ended() bool {
	r.space()
	return !r.odd && r.at == len(r.text)
}

func (r *plainReader) space() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

// sees reports whether a byte comes next, and passes it if so.
func (r *plainReader) sees(c byte) bool {
	r.space()
	if r.odd || r.at == len(r.text) || r.text[r.at] != c {
		return false
	}
	r.at++
	return true
}

func (r *plainReader) must(c byte) {
	if !r.sees(c) {
		r.odd = true
	}
}

// member goes on to the next member of an object; false if there is none.
func (r *plainReader) member() bool {
	if !r.inside {
		r.must('{')
		r.inside = true
		if r.sees('}') {
			r.inside = false
			return false
		}
	} else if !r.sees(',') {
		r.must('}')
		r.inside = false
		return false
	}
	r.name = r.string()
	r.must(':')
	return !r.odd
}

func (r *plainReader) string() string {
	r.must('"')
	if r.odd {
		return ""
	}
	begin := r.at
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[begin : r.at-1]
		case c < ' ' || c > '~' || c == '\\':
			r.odd = true
			return ""
		}
	}
	r.odd = true
	return ""
}

// digits are a whole number's, with its sign: what comes after must not be part of it.
func (r *plainReader) digits() string {
	r.space()
	begin := r.at
	if r.at < len(r.text) && r.text[r.at] == '-' {
		r.at++
	}
	first := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	if r.at == first || r.text[first] == '0' && r.at > first+1 { // JSON has no leading zeros
		r.odd = true
	}
	return r.text[begin:r.at]
}

func (r *plainReader) number() uint64 {
	n, err := strconv.ParseUint(r.digits(), 10, 64)
	r.odd = r.odd || err != nil
	return n
}

func (r *plainReader) amount() int64 {
	n, err := strconv.ParseInt(r.digits(), 10, 64)
	r.odd = r.odd || err != nil
	return n
}

func (r *plainReader) time() (t time.Time) {
	text := r.string()
	if !strings.HasSuffix(text, "Z") || t.UnmarshalText([]byte(text)) != nil {
		r.odd = true
	}
	return t
}

func (r *plainReader) lines() []Line     { return array(r, (*plainReader).line) }
func (r *plainReader) strings() []string { return array(r, (*plainReader).string) }

// array reads an array, which may be empty but not null.
func array[T any](r *plainReader, element func(*plainReader) T) []T {
	all := []T{}
	r.must('[')
	if r.sees(']') {
		return all
	}
	for !r.odd {
		all = append(all, element(r))
		if !r.sees(',') {
			break
		}
	}
	r.must(']')
	return all
}

func (r *plainReader) line() (line Line) {
	inner := plainReader{text: r.text, at: r.at, odd: r.odd}
	for inner.member() {
		switch inner.name {
		case "section":
			line.Section = inner.string()
		case "quantity":
			line.Quantity = int(inner.amount())
		case "seats":
			line.Seats = inner.strings()
		default:
			inner.odd = true
		}
	}
	r.at, r.odd = inner.at, inner.odd
	return line
}

func (r *plainReader) offer() (o Offer) {
	inner := plainReader{text: r.text, at: r.at, odd: r.odd}
	for inner.member() {
		switch inner.name {
		case "section":
			o.Section = inner.string()
		case "available":
			o.Available = inner.amount()
		case "seats":
			o.Seats = inner.strings()
		default:
			inner.odd = true
		}
	}
	r.at, r.odd = inner.at, inner.odd
	return o
}
