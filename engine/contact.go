package engine

import (
	"net/http"

	"onsale"
)

// A buyer's address is the buyer's own: the path names nobody, the token says whose it is.

func (s *Shop) getContact(r *request) error {
	c, err := s.Store.Contact(r.context(), r.buyer)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, c)
}

func (s *Shop) putContact(r *request) error {
	var c onsale.Contact
	if err := r.read(&c); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.Store.PutContact(r.context(), r.buyer, c); err != nil {
		return err
	}
	return r.reply(http.StatusOK, c)
}

func (s *Shop) eraseContact(r *request) error {
	if err := s.Store.EraseContact(r.context(), r.buyer); err != nil {
		return err
	}
	return r.noContent()
}
