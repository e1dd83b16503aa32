package onsale

// Plain JSON is JSON whose texts need no escape, as nearly all of ours: ids, codes, seats.
// It is written and read without reflection, at a fraction of the cost. What is not plain is
// left to encoding/json, so that nobody can tell from the bytes, or from the value, which of
// them was at work; a test holds the two to each other.

import (
	"encoding/json"
	"strconv"
	"time"
)

// AppendLines appends lines as json.Marshal would write them.
func AppendLines(to []byte, lines []Line) ([]byte, error) {
	w := plainWriter{out: to}
	w.lines("", lines)
	if w.odd {
		return appendMarshalled(to, lines)
	}
	return w.out, nil
}

// AppendJSON appends the hold as json.Marshal would write it.
func (h Hold) AppendJSON(to []byte) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"id":`, string(h.ID))
	w.text(`,"event":`, string(h.Event))
	w.text(`,"state":`, string(h.State))
	w.number(`,"generation":`, h.Generation)
	w.time(`,"expires_at":`, h.ExpiresAt)
	w.lines(`,"lines":`, h.Lines)
	w.amount(`,"amount":`, h.Amount)
	w.text(`,"currency":`, h.Currency)
	if w.odd {
		return appendMarshalled(to, h)
	}
	return append(w.out, '}'), nil
}

// AppendJSON appends the order as json.Marshal would write it.
func (o Order) AppendJSON(to []byte) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"id":`, string(o.ID))
	w.text(`,"event":`, string(o.Event))
	w.text(`,"hold":`, string(o.Hold))
	w.text(`,"state":`, string(o.State))
	w.textIfAny(`,"reason":`, o.Reason)
	w.textIfAny(`,"payment":`, o.Payment)
	w.lines(`,"lines":`, o.Lines)
	w.amount(`,"amount":`, o.Amount)
	w.text(`,"currency":`, o.Currency)
	w.time(`,"accepted_at":`, o.AcceptedAt)
	w.time(`,"updated_at":`, o.UpdatedAt)
	if w.odd {
		return appendMarshalled(to, o)
	}
	return append(w.out, '}'), nil
}

// AppendJSON appends the purchase as json.Marshal would write it.
func (p Purchase) AppendJSON(to []byte) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"order":`, string(p.Order))
	w.text(`,"hold":`, string(p.Hold))
	w.text(`,"event":`, string(p.Event))
	w.number(`,"epoch":`, uint64(p.Epoch))
	w.number(`,"generation":`, p.Generation)
	w.text(`,"buyer":`, string(p.Buyer))
	w.lines(`,"lines":`, p.Lines)
	w.amount(`,"amount":`, p.Amount)
	w.text(`,"currency":`, p.Currency)
	w.text(`,"payment_token":`, p.PaymentToken)
	w.time(`,"at":`, p.At)
	if w.odd {
		return appendMarshalled(to, p)
	}
	return append(w.out, '}'), nil
}

// AppendJSON appends the charge as json.Marshal would write it.
func (c Charge) AppendJSON(to []byte) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"order":`, string(c.Order))
	w.text(`,"event":`, string(c.Event))
	w.amount(`,"amount":`, c.Amount)
	w.text(`,"currency":`, c.Currency)
	w.text(`,"payment_token":`, c.PaymentToken)
	w.time(`,"at":`, c.At)
	if !c.AskedAt.IsZero() {
		w.time(`,"asked_at":`, c.AskedAt)
	}
	if w.odd {
		return appendMarshalled(to, c)
	}
	return append(w.out, '}'), nil
}

// AppendJSON appends the result as json.Marshal would write it.
func (r ChargeResult) AppendJSON(to []byte) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"order":`, string(r.Order))
	w.text(`,"event":`, string(r.Event))
	w.text(`,"outcome":`, string(r.Outcome))
	w.textIfAny(`,"reference":`, r.Reference)
	w.amount(`,"amount":`, r.Amount)
	w.text(`,"currency":`, r.Currency)
	w.textIfAny(`,"reason":`, r.Reason)
	w.time(`,"at":`, r.At)
	if w.odd {
		return appendMarshalled(to, r)
	}
	return append(w.out, '}'), nil
}

// AppendJSON appends the news as json.Marshal would write it.
func (n OrderNews) AppendJSON(to []byte) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"order":`, string(n.Order))
	w.text(`,"hold":`, string(n.Hold))
	w.text(`,"event":`, string(n.Event))
	w.text(`,"buyer":`, string(n.Buyer))
	w.lines(`,"lines":`, n.Lines)
	if len(n.Left) > 0 {
		w.lines(`,"left":`, n.Left)
	}
	w.text(`,"state":`, string(n.State))
	w.textIfAny(`,"reason":`, n.Reason)
	w.time(`,"at":`, n.At)
	if w.odd {
		return appendMarshalled(to, n)
	}
	return append(w.out, '}'), nil
}

// plainWriter appends members, each with what comes before its value.
type plainWriter struct {
	out []byte
	odd bool // one is not plain
}

// appendMarshalled appends what turned out not to be plain.
func appendMarshalled(to []byte, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	return append(to, text...), err
}

func (w *plainWriter) text(before, text string) {
	w.out = append(append(append(append(w.out, before...), '"'), text...), '"')
	for i := range len(text) {
		if !unescaped[text[i]] {
			w.odd = true
		}
	}
}

// unescaped is of each byte whether json.Marshal writes it as it is, wherever it stands.
var unescaped = func() (plain [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		plain[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return plain
}()

// textIfAny leaves out the member that is empty.
func (w *plainWriter) textIfAny(before, text string) {
	if text != "" {
		w.text(before, text)
	}
}

func (w *plainWriter) number(before string, n uint64) {
	w.out = strconv.AppendUint(append(w.out, before...), n, 10)
}

func (w *plainWriter) amount(before string, n int64) {
	w.out = strconv.AppendInt(append(w.out, before...), n, 10)
}

func (w *plainWriter) time(before string, t time.Time) {
	w.out = append(t.AppendFormat(append(append(w.out, before...), '"'), time.RFC3339Nano), '"')
	year := t.Year()
	w.odd = w.odd || t.Location() != time.UTC || year < 0 || year > 9999 // of others json.Marshal makes more
}

func (w *plainWriter) lines(before string, lines []Line) {
	w.out = append(w.out, before...)
	if lines == nil {
		w.out = append(w.out, "null"...)
		return
	}
	w.out = append(w.out, '[')
	for i := range lines {
		separator := `,{"section":`
		if i == 0 {
			separator = `{"section":`
		}
		w.text(separator, lines[i].Section)
		w.amount(`,"quantity":`, int64(lines[i].Quantity))
		w.seats(lines[i].Seats)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

func (w *plainWriter) seats(seats []string) {
	for i, seat := range seats {
		separator := ","
		if i == 0 {
			separator = `,"seats":[`
		}
		w.text(separator, seat)
	}
	if len(seats) > 0 {
		w.out = append(w.out, ']')
	}
}
