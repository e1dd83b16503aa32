package engine

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"onsale"
	"onsale/persist"
)

// maxVoidPage is how many void codes a gate may fetch at once.
const maxVoidPage = persist.MaxVoidPage

// checkIn admits whoever shows a ticket at a gate, once.
func (s *Shop) checkIn(r *request) error {
	var body struct {
		Code  string         `json:"code"`
		Gate  string         `json:"gate"`
		Event onsale.EventID `json:"event"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Gate == "" || len(body.Gate) > onsale.MaxGateLength || !legible(body.Gate) {
		return onsale.Refuse(onsale.CodeBadRequest, "gate must be the gate's name, of 1 to 64 bytes")
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	if !legible(key) { // it is kept
		return onsale.Refuse(onsale.CodeBadRequest, "Idempotency-Key must be UTF-8 text")
	}
	// A scanner may end what it types with a line end.
	checkin, err := s.Store.CheckIn(r.context(), persist.Scan{Code: strings.TrimSpace(body.Code), Event: body.Event, Gate: body.Gate, Key: key})
	if err != nil {
		return err
	}
	return r.reply(http.StatusCreated, checkin)
}

// legible reports whether a text can be kept and shown.
func legible(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func (s *Shop) countCheckins(r *request) error {
	event := onsale.EventID(r.param)
	if _, err := s.Store.Layout(r.context(), event); err != nil {
		return err
	}
	sections, at, err := s.Store.Admitted(r.context(), event)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, struct {
		Event    onsale.EventID           `json:"event"`
		At       time.Time                `json:"at"`
		Sections []onsale.AdmittedSection `json:"sections"`
	}{event, at, append([]onsale.AdmittedSection{}, sections...)})
}

// listVoidCodes tells a gate which genuine codes it must refuse while it can't ask.
func (s *Shop) listVoidCodes(r *request) error {
	event := onsale.EventID(r.param)
	if _, err := s.Store.Layout(r.context(), event); err != nil {
		return err
	}
	limit, err := r.limit(maxVoidPage, maxVoidPage)
	if err != nil {
		return err
	}
	codes, next, err := s.Store.VoidCodes(r.context(), event, limit, onsale.TicketID(r.ctx.QueryArgs().Peek("cursor")))
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, struct {
		Void []onsale.VoidCode `json:"void"`
		Next onsale.TicketID   `json:"next,omitempty"`
	}{append([]onsale.VoidCode{}, codes...), next})
}
