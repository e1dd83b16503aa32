package engine

import (
	"net/http"

	"onsale"
)

func (s *Shop) orderHistory(r *request) error {
	moves, err := s.Store.History(r.context(), onsale.OrderID(r.param))
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, map[string]any{"moves": moves})
}
