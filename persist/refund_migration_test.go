package persist

import (
	"fmt"
	"testing"

	"onsale"
)

func TestRefundsFromBeforeTheyCouldFailAreLookedAtIfTheyAreYoung(t *testing.T) {
	t.Parallel()
	url, db, provider := upgrade(t)
	const before = 8 // the last version that knew nothing of it
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := provider.UpTo(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	ids := map[string]onsale.RefundID{}
	for _, kind := range []struct{ name, days, state string }{{"young", "2", "made"}, {"old", "40", "made"}, {"refused", "2", "refused"}, {"due", "0", ""}} {
		order, id := onsale.NewHoldID("gala", 1).Order(), onsale.NewRefundID()
		ids[kind.name] = id
		exec(fmt.Sprintf(`INSERT INTO payments VALUES ('gala', '%s', '%s', 'settled', '', 5, 'EUR', now(), now())`, order, kind.name))
		exec(fmt.Sprintf(`INSERT INTO refunds (id, event, order_id, payment, asked_by, key, asked, tickets, amount, currency, reason, next_at, asked_at)
			VALUES ('%s', 'gala', '%s', '%[3]s', 'operator', '%[3]s', '{}', '{}', 5, 'EUR', '', now() - interval '1 minute', now())`, id, order, kind.name))
		if kind.state != "" {
			exec(fmt.Sprintf(`UPDATE refunds SET state = '%s', ended_at = now() - interval '%s days', told_at = now() WHERE id = '%s'`, kind.state, kind.days, id))
		}
	}
	for range 2 {
		if _, err := provider.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		due, err := open(t, url).TakeRefunds(t.Context(), 9, 0)
		if err != nil || len(due) != 2 {
			t.Fatalf("%+v, %v", due, err)
		}
		for _, d := range due {
			if d.ID != ids["due"] && d.ID != ids["young"] || d.Told != (d.ID == ids["young"]) {
				t.Errorf("%+v", d)
			}
		}
		if _, err := provider.DownTo(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	exec(fmt.Sprintf(`UPDATE refunds SET state = 'made', ended_at = now() WHERE id = '%s'`, ids["due"])) // the triggers are as before
}
