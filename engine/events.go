package engine

import (
	"net/http"
	"time"

	"onsale"
	"onsale/realtime"
)

func (s *Shop) createSession(r *request) error {
	buyer := onsale.NewBuyerID()
	token, expires, err := s.Sessions.Issue(buyer, time.Now())
	if err != nil {
		return err
	}
	return r.reply(http.StatusCreated, map[string]any{"token": token, "buyer": buyer, "expires_at": expires})
}

// eventSummary is an event in the list.
type eventSummary struct {
	ID        onsale.EventID `json:"id"`
	Name      string         `json:"name"`
	Venue     string         `json:"venue,omitempty"`
	StartsAt  time.Time      `json:"starts_at"`
	Currency  string         `json:"currency"`
	Sale      onsale.Sale    `json:"sale"`
	Capacity  int64          `json:"capacity"`
	Available int64          `json:"available"`
}

func (s *Shop) listEvents(r *request) error {
	list := []eventSummary{}
	for _, l := range s.Catalog.Public() {
		e := l.Event
		summary := eventSummary{ID: e.ID, Name: e.Name, Venue: e.Venue, StartsAt: e.StartsAt, Currency: e.Currency,
			Sale: onsale.SaleRecovering, Capacity: e.Capacity()}
		s.Mirrors.View(l, func(stock *onsale.Stock) {
			summary.Sale = stock.Sale
			for _, c := range stock.Counts {
				summary.Available += c.Available
			}
		})
		list = append(list, summary)
	}
	return r.reply(http.StatusOK, map[string]any{"events": list})
}

func (s *Shop) getEvent(r *request) error {
	l, err := s.Catalog.Layout(r.life, onsale.EventID(r.param))
	if err != nil {
		return err
	}
	return r.validated(s.current(l))
}

// current is the event with what its sale is doing now.
func (s *Shop) current(l *onsale.Layout) onsale.Event {
	e := *l.Event
	e.Sale = onsale.SaleRecovering
	s.Mirrors.View(l, func(stock *onsale.Stock) { e.Sale, e.Epoch = stock.Sale, stock.Epoch })
	return e
}

func (s *Shop) getAvailability(r *request) error {
	l, err := s.Catalog.Layout(r.life, onsale.EventID(r.param))
	if err != nil {
		return err
	}
	var snapshot *onsale.FeedSnapshot
	if !s.Mirrors.View(l, func(stock *onsale.Stock) { snapshot = realtime.Snapshot(l, stock) }) {
		return onsale.Busy(onsale.CodeRecovering, "the event's stock is being read; ask again", time.Second, nil)
	}
	return r.reply(http.StatusOK, snapshot)
}
