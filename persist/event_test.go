package persist

import (
	"reflect"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

func TestRepeatedCreationOfAnEventReturnsTheFirst(t *testing.T) {
	b := newBook(t)
	again := &onsale.Event{ID: "gala", Name: "Gala", StartsAt: time.Date(2027, 6, 5, 22, 0, 0, 0, time.FixedZone("CEST", 7200)), Currency: "EUR",
		Sections: []onsale.Section{
			{ID: "floor", Kind: onsale.General, Price: 2500, Capacity: 10},
			{ID: "stalls", Kind: onsale.Reserved, Price: 4000, Grid: &onsale.Grid{Rows: 3, Seats: 10}},
		}}
	if _, err := b.SetSale(t.Context(), "gala", onsale.SaleOpen); err != nil {
		t.Fatal(err)
	}
	e := b.create(again)
	if e.Sale != onsale.SaleOpen || e.Epoch != 0 {
		t.Errorf("the repeat returned sale %s, epoch %d; want the event as it is by now", e.Sale, e.Epoch)
	}
	if e.Sale = onsale.SaleDraft; !reflect.DeepEqual(e, b.event) {
		t.Errorf("got %+v\nwant %+v", e, b.event)
	}
	again.Sections[0].Price++
	if _, err := b.CreateEvent(t.Context(), again); onsale.CodeOf(err) != onsale.CodeEventExists {
		t.Errorf("another content under the same id: %v, want event_exists", err)
	}
	if n := b.number(`SELECT count(*) FROM sections`); n != 2 {
		t.Errorf("%d sections, want 2", n)
	}
}

func TestEventThatCanNotBeSoldIsNotStored(t *testing.T) {
	b := newBook(t)
	if _, err := b.CreateEvent(t.Context(), &onsale.Event{ID: "x", Name: "X", Currency: "EUR"}); onsale.CodeOf(err) != onsale.CodeBadEvent {
		t.Errorf("got %v, want bad_event", err)
	}
	if _, err := b.Event(t.Context(), "x"); onsale.CodeOf(err) != onsale.CodeUnknownEvent {
		t.Errorf("got %v, want unknown_event", err)
	}
}

func TestEventsAreListedByTheirStart(t *testing.T) {
	b := newBook(t)
	for _, e := range []struct {
		id    onsale.EventID
		start time.Time
	}{{"later", b.event.StartsAt.Add(time.Hour)}, {"sooner", b.event.StartsAt.Add(-time.Hour)}} {
		b.create(&onsale.Event{ID: e.id, Name: "E", StartsAt: e.start, Currency: "EUR",
			Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 1, Capacity: 1}}})
	}
	events, err := b.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []onsale.EventID
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	if want := []onsale.EventID{"sooner", "gala", "later"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
}

func TestSaleMovesOnlyWhereItMay(t *testing.T) {
	b := newBook(t)
	for _, step := range []struct {
		next onsale.Sale
		want onsale.Code
	}{
		{onsale.SalePaused, onsale.CodeBadTransition}, {onsale.SaleOpen, ""}, {onsale.SaleOpen, ""}, {onsale.SalePaused, ""},
		{onsale.SaleRecovering, onsale.CodeBadTransition}, {onsale.SaleOpen, ""}, {onsale.SaleClosed, ""}, {onsale.SaleClosed, ""},
		{onsale.SaleOpen, onsale.CodeBadTransition}, {onsale.SaleDraft, onsale.CodeBadTransition},
	} {
		e, err := b.SetSale(t.Context(), "gala", step.next)
		if onsale.CodeOf(err) != step.want {
			t.Fatalf("to %s: %v, want %q", step.next, err, step.want)
		}
		if err == nil && e.Sale != step.next {
			t.Fatalf("to %s: the sale is %s", step.next, e.Sale)
		}
	}
	if _, err := b.SetSale(t.Context(), "nowhere", onsale.SaleOpen); onsale.CodeOf(err) != onsale.CodeUnknownEvent {
		t.Errorf("got %v, want unknown_event", err)
	}
}

func TestEpochOnlyRises(t *testing.T) {
	b := newBook(t)
	for want := onsale.Epoch(1); want <= 2; want++ {
		if got, err := b.RaiseEpoch(t.Context(), "gala"); err != nil || got != want {
			t.Fatalf("got %d, %v; want %d", got, err, want)
		}
	}
	if _, err := b.RaiseEpoch(t.Context(), "nowhere"); onsale.CodeOf(err) != onsale.CodeUnknownEvent {
		t.Errorf("got %v, want unknown_event", err)
	}
	for _, statement := range []string{
		`UPDATE events SET epoch = 1`, `UPDATE events SET definition = '{}'`, `UPDATE events SET id = 'other'`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s was not refused", statement)
		}
	}
}

func TestManyProcessesMayMigrateAtOnce(t *testing.T) {
	url := storestest.Postgres(t)
	errs := make(chan error)
	for range 3 {
		go func() { errs <- Migrate(t.Context(), url) }()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	open(t, url)
}
