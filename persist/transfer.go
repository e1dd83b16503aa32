package persist

// A transfer is an offer that ends once: accepted, cancelled or expired. Whoever changes
// an offer or the ticket it is of has locked the ticket's row first, so that an offer
// is decided about while nothing of it moves:
//
//	accepted while a refund blocks the ticket   one waits for the other; the later finds it blocked, or void
//	accepted twice, cancelled and accepted      the second finds that it has ended
//	accepted and admitted                       the later finds it used, or the code void
//
// Accepting is one transaction: new owner, next serial, offer ended. From its COMMIT on
// the old code admits nobody at a gate that asks; a gate that doesn't, has the list of
// void codes. A repeat, by the same buyer, of what was accepted finds the ticket. The order
// stays its buyer's: if it is refunded the ticket is void, whoever owns it, and the
// money is the buyer's.

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

const (
	offerColumnsRead = `SELECT event, order_id, number, serial, state, from_owner, coalesce(to_owner, ''), offered_at, expires_at FROM transfers `
	readOffer        = offerColumnsRead + `WHERE token_hash = $1`
	countOffers      = `SELECT count(*) FROM transfers ` + ofTicket
	endOpenOffer     = `UPDATE transfers SET state = 'cancelled', ended_at = $4 ` + ofTicket + ` AND state = 'offered'`
	insertOffer      = `INSERT INTO transfers (token_hash, event, order_id, number, serial, state, from_owner, offered_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, 'offered', $6, $7, $8)`
	acceptOffer = `UPDATE transfers SET state = 'accepted', to_owner = $2, ended_at = $3 WHERE token_hash = $1`
	changeOwner = `UPDATE tickets SET owner = $4, serial = serial + 1, issued_at = $5 ` + ofTicket
)

// offer is a row of transfers.
type offer struct {
	ticketRow
	serial               int
	state                onsale.TransferState
	from, to             onsale.BuyerID
	offeredAt, expiresAt time.Time
}

// at returns what has become of the offer by a moment.
func (o *offer) at(now time.Time) onsale.TransferState {
	if o.state == onsale.TransferOffered && !now.Before(o.expiresAt) {
		return onsale.TransferExpired
	}
	return o.state
}

func (o *offer) transfer(token onsale.TransferToken, now time.Time) *onsale.Transfer {
	return &onsale.Transfer{Ticket: onsale.OrderID(o.order).Ticket(o.number), State: o.at(now), Token: token,
		OfferedAt: o.offeredAt.UTC(), ExpiresAt: o.expiresAt.UTC()}
}

func scanOffer(row pgx.CollectableRow) (offer, error) {
	var o offer
	err := row.Scan(&o.event, &o.order, &o.number, &o.serial, &o.state, &o.from, &o.to, &o.offeredAt, &o.expiresAt)
	return o, err
}

// Offer offers a ticket of owner's to whoever accepts it with the transfer's token, for
// onsale.TransferTime. An offer that is open is cancelled: the new one takes its place.
// Under a key, a repeat is the same transfer, as it is by then. It refuses with
// CodeUnknownTicket, CodeTransferLimit, or why the ticket can't change hands.
func (s *Store) Offer(ctx context.Context, id onsale.TicketID, owner onsale.BuyerID, key string) (transfer *onsale.Transfer, err error) {
	row, ok := rowOf(id)
	if !ok {
		return nil, unknownTicket()
	}
	token := onsale.NewTransferToken()
	if key != "" {
		token = onsale.DeriveTransferToken(s.secret, id, owner, key)
	}
	err = s.inTx(ctx, "offer "+string(id), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		ticket, before, now, err := lockForTransfer(ctx, tx, row, token)
		if err != nil {
			return err
		}
		if before != nil {
			transfer = before.transfer(token, now)
			return nil
		}
		if ticket == nil || ticket.Owner != owner {
			return unknownTicket()
		}
		if err := ticket.CheckTransfer(); err != nil {
			return err
		}
		offers := 0
		if err := tx.QueryRow(ctx, countOffers, row.event, row.order, row.number).Scan(&offers); err != nil {
			return err
		}
		if offers >= onsale.MaxOffers {
			return onsale.Refuse(onsale.CodeTransferLimit, "the ticket has been offered as often as a ticket may be")
		}
		made := offer{ticketRow: row, serial: ticket.Serial, state: onsale.TransferOffered, from: owner, offeredAt: now, expiresAt: now.Add(onsale.TransferTime)}
		transfer = made.transfer(token, now)
		var q pgx.Batch
		q.Queue(endOpenOffer, row.event, row.order, row.number, now)
		q.Queue(insertOffer, token.Hash(), row.event, row.order, row.number, made.serial, string(owner), made.offeredAt, made.expiresAt)
		return send(ctx, tx, &q)
	})
	if err != nil {
		return nil, err
	}
	return transfer, nil
}

// CancelOffer ends the open offer of a ticket of owner's, if there is one. A ticket that
// isn't theirs, or no longer, is refused with CodeUnknownTicket.
func (s *Store) CancelOffer(ctx context.Context, id onsale.TicketID, owner onsale.BuyerID) error {
	row, ok := rowOf(id)
	if !ok {
		return unknownTicket()
	}
	return s.inTx(ctx, "cancel the offer of "+string(id), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		ticket, _, now, err := lockForTransfer(ctx, tx, row, "")
		if err != nil {
			return err
		}
		if ticket == nil || ticket.Owner != owner {
			return unknownTicket()
		}
		_, err = tx.Exec(ctx, endOpenOffer, row.event, row.order, row.number, now)
		return err
	})
}

// Accept makes a ticket the buyer's, under a new code, and returns it. A repeat by the same
// buyer returns the same while it is theirs. The owner may accept it themselves, which
// makes the old code void. It refuses with CodeUnknownTransfer, CodeTransferEnded, or why
// the ticket can't change hands.
func (s *Store) Accept(ctx context.Context, token onsale.TransferToken, buyer onsale.BuyerID) (ticket *onsale.Ticket, err error) {
	if !token.Valid() {
		return nil, unknownTransfer()
	}
	err = s.inTx(ctx, "accept a transfer", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		found, err := findOffer(ctx, tx, token)
		if err != nil {
			return err
		}
		if found == nil {
			return unknownTransfer()
		}
		row := found.ticketRow
		var now time.Time
		ticket, found, now, err = lockForTransfer(ctx, tx, row, token)
		if err != nil {
			return err
		}
		if ticket == nil || found == nil {
			return unknownTransfer()
		}
		if found.state == onsale.TransferAccepted && found.to == buyer && ticket.Owner == buyer && ticket.Serial == found.serial+1 {
			return nil
		}
		if found.at(now) != onsale.TransferOffered {
			return onsale.Refuse(onsale.CodeTransferEnded, "the offer was "+string(found.at(now))+": ask whoever sent it for a new one")
		}
		if err := ticket.CheckTransfer(); err != nil {
			return err
		}
		ticket.Owner, ticket.Serial, ticket.IssuedAt = buyer, ticket.Serial+1, now
		var q pgx.Batch
		q.Queue(changeOwner, row.event, row.order, row.number, string(buyer), now)
		q.Queue(acceptOffer, token.Hash(), string(buyer), now)
		return send(ctx, tx, &q)
	})
	if err != nil {
		return nil, err
	}
	s.sign(ticket)
	return ticket, nil
}

func findOffer(ctx context.Context, tx pgx.Tx, token onsale.TransferToken) (found *offer, err error) {
	rows, err := tx.Query(ctx, readOffer, token.Hash())
	if err != nil {
		return nil, err
	}
	err = intoFirst(&found, scanOffer)(rows)
	return found, err
}

// lockForTransfer locks a ticket, and reads it, the offer of the token and the clock as
// they are then. What doesn't exist is nil.
func lockForTransfer(ctx context.Context, tx pgx.Tx, row ticketRow, token onsale.TransferToken) (ticket *onsale.Ticket, found *offer, now time.Time, err error) {
	var q pgx.Batch
	q.Queue(lockTicket, row.event, row.order, row.number).Query(intoFirst(&ticket, scanTicket))
	q.Queue(readOffer, token.Hash()).Query(intoFirst(&found, scanOffer))
	q.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	err = send(ctx, tx, &q)
	return ticket, found, now.UTC(), err
}

func unknownTransfer() error {
	return onsale.Refuse(onsale.CodeUnknownTransfer, "no ticket is offered under this link: check that it is complete")
}
