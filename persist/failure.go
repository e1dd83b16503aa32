package persist

// What goes wrong with Postgres, told apart once: what a person has to mend, what
// passes by itself, and what will never work however often it is tried.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"onsale"
)

// retryAdvice is when a request that Postgres didn't answer may come back.
const retryAdvice = 2 * time.Second

// SQLSTATEs and their classes. Source: PostgreSQL manual, appendix A.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	checkViolation       = "23514"
	undefinedTable       = "42P01"
	invalidPassword      = "28P01"
	invalidDatabase      = "3D000"

	classDataException      = "22"
	classIntegrityViolation = "23"
)

// failed wraps an error of Postgres with what was being done. One that passes by
// itself becomes a CodeUnavailable refusal with advice to come back.
func failed(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	var pg *pgconn.PgError
	if errors.Is(err, context.Canceled) || errors.Is(err, pgx.ErrNoRows) || (errors.As(err, &pg) && !passing(pg)) {
		return err
	}
	if onsale.CodeOf(err) != onsale.CodeInternal {
		return err
	}
	return onsale.Busy(onsale.CodeUnavailable, "the order book did not answer; try again", retryAdvice, err)
}

// passing reports whether the server's error says something about the moment and
// nothing about the statement: lost connection, conflict, out of resources,
// shutting down or starting.
func passing(pg *pgconn.PgError) bool {
	switch pg.Code[:2] {
	case "08", "40", "53", "57":
		return true
	}
	return false
}

// conflict reports whether a transaction lost to another one and should be run
// again as a whole. A unique violation is one: the second attempt sees the row.
func conflict(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return errors.Is(err, errOvertaken)
	}
	return pg.Code == serializationFailure || pg.Code == deadlockDetected || pg.Code == uniqueViolation || misrouted(pg)
}

// misrouted reports whether a row of the history was on its way to a partition when the one
// that it belongs to was made.
func misrouted(pg *pgconn.PgError) bool {
	return pg.Code == checkViolation && pg.ConstraintName == "" && strings.HasPrefix(pg.TableName, "order_history_")
}

// hopeless reports whether the same input will fail the same way for ever, since
// Postgres refuses the data itself.
func hopeless(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code == uniqueViolation || misrouted(pg) {
		return false
	}
	class := pg.Code[:2]
	return class == classDataException || class == classIntegrityViolation
}

func badURL(err error) error {
	return fmt.Errorf("the Postgres URL can't be read (%s): write it as postgres://user:password@host:5432/database", lastLine(err))
}

// unreachable turns a failed first contact into one line that says what to do. It
// never repeats the URL, which has a password in it.
func unreachable(host string, port uint16, err error) error {
	at := net.JoinHostPort(host, fmt.Sprint(port))
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == invalidPassword:
		return fmt.Errorf("Postgres at %s refuses the user or password: correct them in its URL", at) //nolint:staticcheck // a proper name
	case errors.As(err, &pg) && pg.Code == invalidDatabase:
		return fmt.Errorf("Postgres at %s says that %s: create it, or correct the URL", at, pg.Message) //nolint:staticcheck // a proper name
	}
	return fmt.Errorf("Postgres at %s does not answer (%s): start it, or correct its URL", at, lastLine(err)) //nolint:staticcheck // a proper name
}

// lastLine is the innermost cause in one line: pgx lists one attempt a line.
func lastLine(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
