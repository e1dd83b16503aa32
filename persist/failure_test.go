package persist

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"onsale"
	"onsale/internal/stores/storestest"
)

func TestUnusablePostgresIsOneLineThatSaysWhatToDo(t *testing.T) {
	url := storestest.Postgres(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "postgres://u:geheim@" + free.Addr().String() + "/onsale"
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(url, "@")
	wrongPassword := "postgres://onsale:geheim@" + address
	for _, c := range []struct{ name, url, want string }{
		{"nobody listens", nobody, "start it"},
		{"not a url", "postgres://%zz", "write it as"},
		{"no tables", url, "onsale migrate"},
		{"no such database", url[:strings.LastIndex(url, "/")] + "/absent", "create it"},
		{"wrong password", wrongPassword, "user or password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, open := range map[string]func() error{
				"open": func() error { _, err := Open(t.Context(), c.url, Config{}); return err },
				"migrate": func() error {
					if c.name == "no tables" {
						return errors.New(c.want) // that is what migrate is for
					}
					return Migrate(t.Context(), c.url)
				},
			} {
				err := open()
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "geheim") {
					t.Errorf("%s: %v; want one line with %q and no password", name, err, c.want)
				}
			}
		})
	}
}

func TestTablesOfANewerBuildAreRefused(t *testing.T) {
	b := newBook(t)
	b.corrupt(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	if _, err := Open(t.Context(), b.url, Config{}); err == nil || !strings.Contains(err.Error(), "newer onsale") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyWhatPassesByItselfIsUnavailable(t *testing.T) {
	for code, want := range map[string]onsale.Code{
		"08006": onsale.CodeUnavailable, "57P01": onsale.CodeUnavailable, "53300": onsale.CodeUnavailable, "40001": onsale.CodeUnavailable,
		"42P01": onsale.CodeInternal, "23514": onsale.CodeInternal, "22P05": onsale.CodeInternal,
	} {
		err := failed("do something", &pgconn.PgError{Code: code})
		if onsale.CodeOf(err) != want {
			t.Errorf("SQLSTATE %s: %v, want %s", code, err, want)
		}
	}
	var refusal *onsale.Error
	if err := failed("do something", &net.OpError{Op: "dial"}); !errors.As(err, &refusal) || refusal.RetryAfter < time.Second {
		t.Errorf("a lost connection gives %v without advice to come back", err)
	}
	if err := failed("x", onsale.Refuse(onsale.CodeUnknownEvent, "")); onsale.CodeOf(err) != onsale.CodeUnknownEvent {
		t.Errorf("a refusal became %v", err)
	}
}
