package persist

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"onsale"
)

var errUnknownContact = onsale.Refuse(onsale.CodeUnknownContact, "you have given no address")

// PutContact stores where a buyer wants to be told, instead of what was there, and has
// them told of orders that ended a short while ago: who gives the address on the page that
// says "bought" gets the mail too. The contact is checked already.
func (s *Store) PutContact(ctx context.Context, buyer onsale.BuyerID, c onsale.Contact) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, `INSERT INTO contacts (buyer, email) VALUES ($1, $2)
		ON CONFLICT (buyer) DO UPDATE SET email = excluded.email, updated_at = now()`, string(buyer), c.Email)
	if err != nil {
		return failedContact("keep a contact", err)
	}
	// After the contact is committed: an order that isn't seen here ends later, and its
	// news find the contact. So none falls between the two.
	rows, err := s.pool.Query(ctx, orderColumnsRead+`WHERE buyer = $1 AND accepted_at > now() - $2::interval AND updated_at > now() - $2::interval`,
		string(buyer), lateContact)
	if err != nil {
		return failed("read a buyer's late orders", err)
	}
	orders, err := pgx.CollectRows(rows, scanOrder)
	if err != nil {
		return failed("read a buyer's late orders", err)
	}
	var news []onsale.OrderNews
	for _, o := range orders {
		news = append(news, o.News())
	}
	_, err = s.QueueNews(ctx, news)
	return err
}

// Contact returns where a buyer wants to be told, or refuses with CodeUnknownContact.
func (s *Store) Contact(ctx context.Context, buyer onsale.BuyerID) (c onsale.Contact, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err = s.pool.QueryRow(ctx, `SELECT email FROM contacts WHERE buyer = $1`, string(buyer)).Scan(&c.Email)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, errUnknownContact
	}
	if err != nil {
		return c, failed("read a contact", err)
	}
	return c, nil
}

// EraseContact forgets where a buyer wanted to be told, and what was still to be mailed.
// Erasing what isn't there is fine.
func (s *Store) EraseContact(ctx context.Context, buyer onsale.BuyerID) error {
	return s.inTx(ctx, "erase a contact", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`DELETE FROM contacts WHERE buyer = $1`, string(buyer))
		b.Queue(`DELETE FROM deliveries WHERE buyer = $1 AND lane = 'email' AND state = 'queued'`, string(buyer))
		return send(ctx, tx, b)
	})
}

// failedContact is failed for a statement with an address in it: what Postgres says of a
// refused row quotes the row.
func failedContact(doing string, err error) error {
	if hopeless(err) {
		return onsale.Refuse(onsale.CodeBadRequest, "email must be an address as name@example.com")
	}
	return failed(doing, err)
}
