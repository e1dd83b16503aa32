package engine

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strconv"

	"onsale"
)

// A ticket is its owner's: to anybody else, the buyer of its order included, it reads as
// unknown, and the order shows that it was transferred, without its code.

func (s *Shop) listTickets(r *request) error {
	order, err := s.order(r)
	if err != nil {
		return err
	}
	list, err := s.Store.Tickets(r.context(), order.ID)
	if err != nil {
		return err
	}
	for i := range list {
		if t := &list[i]; t.Owner != r.buyer {
			t.Transferred, t.Code, t.AdmittedAt = true, "", nil
		}
	}
	return r.reply(http.StatusOK, map[string]any{"tickets": append([]onsale.Ticket{}, list...)})
}

// listOwnTickets must not be answered by a replica that lags behind: it would show a
// code that is void.
func (s *Shop) listOwnTickets(r *request) error {
	limit, err := r.limit(defaultPage, maxPage)
	if err != nil {
		return err
	}
	list, next, err := s.Store.TicketsOf(r.context(), r.buyer, limit, string(r.ctx.QueryArgs().Peek("cursor")))
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, struct {
		Tickets []onsale.Ticket `json:"tickets"`
		Next    string          `json:"next,omitempty"`
	}{append([]onsale.Ticket{}, list...), next})
}

func (s *Shop) getTicket(r *request) error {
	ticket, err := s.Store.Ticket(r.context(), onsale.TicketID(r.param), r.buyer)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, ticket)
}

// getTicketKey tells everybody the key that every code can be checked with.
func (s *Shop) getTicketKey(r *request) error {
	key := s.Store.TicketKey()
	text, err := KeyPEM(key)
	if err != nil {
		return err
	}
	return r.validated(map[string]string{"algorithm": "Ed25519", "key": base64.StdEncoding.EncodeToString(key), "pem": text})
}

// KeyPEM is the public key of tickets as PEM (RFC 8410), as other tools read it.
func KeyPEM(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

func (s *Shop) offerTicket(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	transfer, err := s.Store.Offer(r.context(), onsale.TicketID(r.param), r.buyer, key)
	if err != nil {
		return err
	}
	return r.created(http.StatusCreated, "/v1/transfers/"+string(transfer.Token), transfer)
}

func (s *Shop) cancelOffer(r *request) error {
	if err := s.Store.CancelOffer(r.context(), onsale.TicketID(r.param), r.buyer); err != nil {
		return err
	}
	return r.noContent()
}

func (s *Shop) acceptTransfer(r *request) error {
	ticket, err := s.Store.Accept(r.context(), onsale.TransferToken(r.param), r.buyer)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, ticket)
}

// limit is how long a page the request asks for, standard if it doesn't say.
func (r *request) limit(standard, most int) (int, error) {
	text := r.ctx.QueryArgs().Peek("limit")
	if len(text) == 0 {
		return standard, nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > most {
		return 0, onsale.Refuse(onsale.CodeBadRequest, "limit must be from 1 to "+strconv.Itoa(most))
	}
	return n, nil
}
