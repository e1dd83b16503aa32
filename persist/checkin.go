package persist

// Admitting is one statement: it marks the ticket, if it is valid, not used, and the code
// is its latest, and writes the check-in down. Scans of one ticket queue up for its row,
// and all but the first find it used. Only who is refused pays for finding out why.
//
//	a process dies …             what the gate gets
//	before the statement         nothing; it scans again and is admitted
//	after it, before the answer  nothing; it scans again under the same Idempotency-Key
//	                             and is admitted again, with the first answer; without
//	                             a key it is told already_admitted, when and at its own gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"onsale"
)

const (
	admitTicket = `WITH admitted AS (
			UPDATE tickets SET admitted_at = now() ` + ofTicket + ` AND serial = $4 AND state = 'valid' AND admitted_at IS NULL
			RETURNING event, order_id, number, serial, admitted_at)
		INSERT INTO checkins (event, order_id, number, serial, gate, key, at)
		SELECT event, order_id, number, serial, $5, $6, admitted_at FROM admitted RETURNING at`

	checkinColumnsRead = `SELECT c.order_id, c.number, c.event, t.section, t.seat, c.serial, c.gate, c.at FROM checkins c
		JOIN tickets t ON t.event = c.event AND t.order_id = c.order_id AND t.number = c.number `
)

// Scan is a ticket's code as a gate has read it.
type Scan struct {
	Code  string
	Event onsale.EventID // that the gate admits to; "" for any
	Gate  string         // 1 to onsale.MaxGateLength bytes
	Key   string         // the same in each repeat of the scan by this gate; "" for none
}

// CheckIn admits whoever shows a ticket, once. A repeat of a scan by the same gate under
// the same key has the same answer. It refuses with CodeForgedCode, CodeOtherEvent,
// CodeUnknownTicket, CodeTicketVoid, CodeTicketBlocked, CodeTicketReissued,
// CodeAlreadyAdmitted, whose First is the admission, or with CodeKeyReused if the gate
// has used the key for another ticket. A refusal uses up no key.
func (s *Store) CheckIn(ctx context.Context, scan Scan) (*onsale.Checkin, error) {
	shown, ok := onsale.VerifyCode(s.TicketKey(), scan.Code)
	row, known := rowOf(shown.ID)
	if !ok || !known {
		return nil, onsale.Refuse(onsale.CodeForgedCode, "this is no ticket of ours: it can't be read, or is not signed by us")
	}
	if scan.Event != "" && scan.Event != shown.Event {
		return nil, onsale.Refuse(onsale.CodeOtherEvent, fmt.Sprintf("this is a ticket of event %s, not of %s", shown.Event, scan.Event))
	}
	doing := "check in " + string(shown.ID)
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	for range maxAttempts {
		checkin := onsale.Checkin{Ticket: shown.ID, Event: shown.Event, Section: shown.Section, Seat: shown.Seat, Serial: shown.Serial, Gate: scan.Gate}
		err := s.pool.QueryRow(ctx, admitTicket, row.event, row.order, row.number, shown.Serial, scan.Gate, scan.Key).Scan(&checkin.At)
		if err == nil {
			checkin.At = checkin.At.UTC()
			return &checkin, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) && !isUnique(err) {
			return nil, failed(doing, err)
		}
		before, err := s.explain(ctx, row, &shown, &scan)
		if !errors.Is(err, errOvertaken) {
			return before, err
		}
	}
	return nil, failed(doing, errOvertaken)
}

// explain finds out why a scan admitted nobody. It is errOvertaken if the reason has
// passed meanwhile, and returns the first answer of a scan that is a repeat.
func (s *Store) explain(ctx context.Context, row ticketRow, shown *onsale.Ticket, scan *Scan) (*onsale.Checkin, error) {
	var ticket *onsale.Ticket
	var first, ofKey *onsale.Checkin
	err := s.inTx(ctx, "read why "+string(shown.ID)+" is not admitted", snapshot, func(ctx context.Context, tx pgx.Tx) error {
		ticket, first, ofKey = nil, nil, nil
		var q pgx.Batch
		q.Queue(readTicket, row.event, row.order, row.number).Query(intoFirst(&ticket, scanTicket))
		q.Queue(checkinColumnsRead+`WHERE c.event = $1 AND c.order_id = $2 AND c.number = $3`, row.event, row.order, row.number).Query(intoFirst(&first, scanCheckin))
		q.Queue(checkinColumnsRead+`WHERE c.event = $1 AND c.gate = $2 AND c.key = $3 AND c.key <> ''`, row.event, scan.Gate, scan.Key).Query(intoFirst(&ofKey, scanCheckin))
		return send(ctx, tx, &q)
	})
	switch {
	case err != nil:
		return nil, err
	case ofKey != nil && ofKey.Ticket == shown.ID && ofKey.Serial == shown.Serial:
		return ofKey, nil
	case ofKey != nil:
		return nil, onsale.Refuse(onsale.CodeKeyReused, "this gate has admitted another ticket under the same Idempotency-Key")
	case ticket == nil:
		return nil, onsale.Refuse(onsale.CodeUnknownTicket, "the code is genuine, and there is no such ticket")
	}
	if err := ticket.CheckAdmission(shown.Serial, first); err != nil {
		return nil, err
	}
	return nil, errOvertaken
}

// intoFirst keeps the first row of an answer, if there is one.
func intoFirst[T any](into **T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scan)
		if len(found) > 0 {
			*into = &found[0]
		}
		return err
	}
}

func scanCheckin(row pgx.CollectableRow) (onsale.Checkin, error) {
	var c onsale.Checkin
	var order onsale.OrderID
	var number int
	err := row.Scan(&order, &number, &c.Event, &c.Section, &c.Seat, &c.Serial, &c.Gate, &c.At)
	c.Ticket, c.At = order.Ticket(number), c.At.UTC()
	return c, err
}

func isUnique(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation
}

// Admitted returns how far each section of an event has filled at its gates, by id,
// and when that was. Sections of which nothing is sold are left out.
func (s *Store) Admitted(ctx context.Context, event onsale.EventID) (sections []onsale.AdmittedSection, at time.Time, err error) {
	err = s.inTx(ctx, "count the check-ins of "+string(event), snapshot, func(ctx context.Context, tx pgx.Tx) error {
		var q pgx.Batch
		q.Queue(`SELECT section, count(*) FILTER (WHERE state = 'valid' OR admitted_at IS NOT NULL), count(admitted_at)
			FROM tickets WHERE event = $1 GROUP BY section ORDER BY section`, string(event)).Query(func(rows pgx.Rows) (err error) {
			sections, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a onsale.AdmittedSection, err error) {
				err = row.Scan(&a.ID, &a.Tickets, &a.Admitted)
				return a, err
			})
			return err
		})
		q.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&at) })
		return send(ctx, tx, &q)
	})
	return sections, at.UTC(), err
}
