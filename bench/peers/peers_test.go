package peers

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The peers must be honest: what they sell faster than they may, they would win by.
func TestRowsSellEachSeatOnceAndRepeatAKey(t *testing.T) {
	t.Parallel()
	r, err := NewRows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.pool.Exec(t.Context(), "DELETE FROM seats WHERE id > $1", rowsLimit+2); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for n := range rowsLimit {
		seat, err := r.hold(t.Context(), "ann", "ann "+string(rune('a'+n)))
		if err != nil || seen[seat] {
			t.Fatalf("hold %d: seat %d, %v", n, seat, err)
		}
		seen[seat] = true
	}
	first, err := r.hold(t.Context(), "ann", "ann a")
	if err != nil || first != 1 {
		t.Errorf("the repeat has seat %d, %v; want the first again", first, err)
	}
	if _, err := r.hold(t.Context(), "ann", "ann more"); !errors.Is(err, errRowsLimit) {
		t.Errorf("beyond the limit: %v", err)
	}
	for n, want := range []error{nil, nil, pgx.ErrNoRows} {
		if seat, err := r.hold(t.Context(), "bob", "bob "+string(rune('a'+n))); !errors.Is(err, want) || seen[seat] {
			t.Errorf("bob's hold %d: seat %d, %v; want %v", n, seat, err, want)
		}
	}
}
