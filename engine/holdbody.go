package engine

import (
	"encoding/json"
	"strconv"
	"time"

	"onsale"
)

// appendHold appends a hold as json.Marshal would write it, at a quarter of the cost: it is what
// a rush is answered with. A text that would need escaping is left to json.Marshal.
func appendHold(to []byte, h *onsale.Hold) ([]byte, error) {
	w := plainWriter{out: to}
	w.text(`{"id":`, string(h.ID))
	w.text(`,"event":`, string(h.Event))
	w.text(`,"state":`, string(h.State))
	w.out = strconv.AppendUint(append(w.out, `,"generation":`...), h.Generation, 10)
	w.out = h.ExpiresAt.AppendFormat(append(w.out, `,"expires_at":"`...), time.RFC3339Nano)
	w.out = append(w.out, `","lines":[`...)
	for i := range h.Lines {
		line := &h.Lines[i]
		separator := `,{"section":`
		if i == 0 {
			separator = `{"section":`
		}
		w.text(separator, line.Section)
		w.out = strconv.AppendInt(append(w.out, `,"quantity":`...), int64(line.Quantity), 10)
		for j, seat := range line.Seats {
			separator := ","
			if j == 0 {
				separator = `,"seats":[`
			}
			w.text(separator, seat)
		}
		if len(line.Seats) > 0 {
			w.out = append(w.out, ']')
		}
		w.out = append(w.out, '}')
	}
	w.out = strconv.AppendInt(append(w.out, `],"amount":`...), h.Amount, 10)
	w.text(`,"currency":`, h.Currency)
	if w.odd || h.Lines == nil {
		text, err := json.Marshal(h)
		return append(to, text...), err
	}
	return append(w.out, '}'), nil
}

// plainWriter appends texts that JSON takes as they are.
type plainWriter struct {
	out []byte
	odd bool // one needed escaping
}

func (w *plainWriter) text(before, text string) {
	w.out = append(append(append(append(w.out, before...), '"'), text...), '"')
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.odd = true
		}
	}
}
