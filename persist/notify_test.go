package persist

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onsale"
)

const (
	lease  = time.Minute
	friend = "friend@example.com"
)

// ended is a new order that has come to its end, with its news.
func (b *book) ended(state onsale.OrderState) (onsale.Purchase, onsale.OrderNews) {
	b.t.Helper()
	p := b.purchase(floor(1))
	_, rejected := b.claim(p)
	switch state {
	case onsale.OrderTicketed:
		news, _ := b.finalise(captured(p))
		return p, news[0]
	case onsale.OrderDeclined:
		news, _ := b.finalise(declined(p))
		return p, news[0]
	}
	return p, rejected[0]
}

func (b *book) contact(buyer onsale.BuyerID) {
	b.t.Helper()
	if err := b.PutContact(b.t.Context(), buyer, onsale.Contact{Email: friend}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) webhook(url string, events ...string) onsale.Webhook {
	b.t.Helper()
	w := onsale.Webhook{URL: url, Events: events}
	if err := w.CompleteEvents(); err != nil {
		b.t.Fatal(err)
	}
	stored, err := b.CreateWebhook(b.t.Context(), w)
	if err != nil {
		b.t.Fatal(err)
	}
	return *stored
}

func (b *book) queue(news ...onsale.OrderNews) int {
	b.t.Helper()
	n, err := b.QueueNews(b.t.Context(), news)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *book) take(lane onsale.Lane, most int) []onsale.Delivery {
	b.t.Helper()
	taken, err := b.TakeDeliveries(b.t.Context(), lane, most, lease)
	if err != nil {
		b.t.Fatal(err)
	}
	return taken
}

func (b *book) end(d onsale.Delivery, state onsale.DeliveryState, after time.Duration) {
	b.t.Helper()
	err := b.EndDeliveries(b.t.Context(), []onsale.DeliveryOutcome{{ID: d.ID, Attempt: d.Attempts, State: state, After: after, Begun: true}})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) delivery(id onsale.DeliveryID) onsale.Delivery {
	b.t.Helper()
	d, err := b.Delivery(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return *d
}

func (b *book) exec(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), statement, args...); err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
}

func (b *book) keepAll() (dead int) {
	b.t.Helper()
	for {
		n, more, err := b.KeepDeliveries(b.t.Context(), 2)
		if err != nil {
			b.t.Fatal(err)
		}
		if dead += n; !more {
			return dead
		}
	}
}

func TestNewsIsQueuedOnceForEachWhoIsToBeTold(t *testing.T) {
	b := newBook(t)
	all, some := b.webhook("https://a.example/"), b.webhook("https://b.example/", "order.declined")
	p, ticketed := b.ended(onsale.OrderTicketed)
	b.contact(p.Buyer) // queues what the order, which ended a moment ago, is told by
	_, refused := b.ended(onsale.OrderDeclined)
	if n := b.queue(ticketed, refused, ticketed); n != 2 {
		t.Errorf("%d deliveries are new, want the two of the declined one: the contact has queued the others", n)
	}
	if n := b.queue(refused, ticketed); n != 0 {
		t.Errorf("a repeat queues %d", n)
	}
	claimed := ticketed
	claimed.State = onsale.OrderClaimed
	stranger := ticketed
	stranger.Order = onsale.NewHoldID("gala", 1).Order()
	old := ticketed
	old.State, old.At = onsale.OrderRefunded, time.Now().Add(-NewsMemory-time.Hour)
	if n := b.queue(claimed, stranger, old); n != 0 {
		t.Errorf("news of no end, of no order and of long ago queue %d", n)
	}
	toAll, toSome, mail := b.take(all.ID.Lane(), 9), b.take(some.ID.Lane(), 9), b.take(onsale.LaneEmail, 9)
	if len(toAll) != 2 || len(toSome) != 1 || len(mail) != 1 {
		t.Fatalf("%d, %d and %d are due, want 2, 1 and 1", len(toAll), len(toSome), len(mail))
	}
	d := mail[0]
	if d.Address != friend || d.Order != p.Order || d.Told != onsale.OrderTicketed || d.Amount != p.Amount || len(d.Lines) != 1 || d.Event != "gala" || !d.ID.Valid() {
		t.Errorf("the mail is %+v", d)
	}
	if toSome[0].Told != onsale.OrderDeclined || toSome[0].Reason != "card_declined" || toSome[0].Address != "" {
		t.Errorf("the webhook's is %+v", toSome[0])
	}
	if ids := []onsale.DeliveryID{toAll[0].ID, toAll[1].ID, toSome[0].ID, d.ID}; len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 4 {
		t.Errorf("ids are shared: %v", ids)
	}
}

func TestNewsOfBeforeAWebhookIsNotToldToIt(t *testing.T) {
	b := newBook(t)
	_, news := b.ended(onsale.OrderTicketed)
	w := b.webhook("https://a.example/")
	b.exec(`UPDATE webhooks SET created_at = now() + interval '1 hour'`)
	if n := b.queue(news); n != 0 {
		t.Errorf("%d queued", n)
	}
	b.exec(`UPDATE webhooks SET created_at = now() - interval '1 hour', disabled_at = now(), disabled_reason = 'x'`)
	if n := b.queue(news); n != 0 {
		t.Errorf("%d queued for one that is disabled", n)
	}
	if _, err := b.EnableWebhook(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if n := b.queue(news); n != 1 {
		t.Errorf("%d queued for one that is enabled, want 1", n)
	}
}

func TestADeliveryIsOneTakersUntilItsLeaseEnds(t *testing.T) {
	b := newBook(t)
	w := b.webhook("https://a.example/")
	const orders = 8
	for range orders {
		_, news := b.ended(onsale.OrderDeclined)
		b.queue(news)
	}
	var mu sync.Mutex
	seen := map[onsale.DeliveryID]int{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range orders {
				taken, err := b.TakeDeliveries(t.Context(), w.ID.Lane(), 1, lease)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, d := range taken {
					seen[d.ID]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
	if len(seen) != orders {
		t.Errorf("%d were taken, want %d", len(seen), orders)
	}
	b.exec(`UPDATE deliveries SET due = now()`) // the leases end
	again := b.take(w.ID.Lane(), orders)
	if len(again) != orders || again[0].Attempts != 2 {
		t.Fatalf("%d come back, of attempt %d", len(again), again[0].Attempts)
	}
	late := again[0]
	late.Attempts = 1
	b.end(late, onsale.DeliveryDead, 0) // of who had it before: it is no longer theirs to give up
	if d := b.delivery(late.ID); d.State != onsale.DeliveryQueued {
		t.Errorf("it is %s", d.State)
	}
	b.end(late, onsale.DeliverySent, 0) // but if they sent it, it is sent
	if d := b.delivery(late.ID); d.State != onsale.DeliverySent || d.Attempts != 2 {
		t.Errorf("it is %s after %d attempts", d.State, d.Attempts)
	}
	untried := onsale.DeliveryOutcome{ID: again[1].ID, Attempt: 2, State: onsale.DeliveryQueued}
	if err := b.EndDeliveries(t.Context(), []onsale.DeliveryOutcome{untried}); err != nil {
		t.Fatal(err)
	}
	if given := b.take(w.ID.Lane(), orders); len(given) != 1 || given[0].Attempts != 2 {
		t.Errorf("what was given back is %+v", given)
	}
}

func TestErasedContactLeavesNothingToMail(t *testing.T) {
	b := newBook(t)
	p, news := b.ended(onsale.OrderTicketed)
	b.contact(p.Buyer)
	if err := b.EraseContact(t.Context(), p.Buyer); err != nil {
		t.Fatal(err)
	}
	if n := b.number(`SELECT count(*) FROM deliveries`) + b.number(`SELECT count(*) FROM contacts`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if _, err := b.Contact(t.Context(), p.Buyer); onsale.CodeOf(err) != onsale.CodeUnknownContact {
		t.Errorf("the contact: %v", err)
	}
	if n := b.queue(news); n != 0 {
		t.Errorf("%d mails to nobody", n)
	}
	// Queued by who had still seen the contact: given up, not tried for ever.
	b.contact(p.Buyer)
	b.exec(`DELETE FROM contacts`)
	if taken := b.take(onsale.LaneEmail, 9); len(taken) != 0 {
		t.Errorf("a mail without an address is taken: %+v", taken)
	}
	if dead := b.keepAll(); dead != 1 {
		t.Errorf("%d given up, want 1", dead)
	}
}

func TestContactGivenAfterTheOrderEndedIsStillTold(t *testing.T) {
	b := newBook(t)
	p, news := b.ended(onsale.OrderTicketed)
	if n := b.queue(news); n != 0 {
		t.Fatalf("%d queued with nobody to tell", n)
	}
	b.contact(p.Buyer)
	b.contact(p.Buyer)
	if taken := b.take(onsale.LaneEmail, 9); len(taken) != 1 || taken[0].Order != p.Order {
		t.Errorf("%+v", taken)
	}
}

func TestDeliveriesAreBoundedInTime(t *testing.T) {
	b := newBook(t)
	w, gone := b.webhook("https://a.example/"), b.webhook("https://gone.example/")
	var of []onsale.DeliveryID
	for range 3 {
		_, news := b.ended(onsale.OrderDeclined)
		b.queue(news)
	}
	for _, d := range b.take(w.ID.Lane(), 9) {
		of = append(of, d.ID)
		b.end(d, onsale.DeliveryQueued, time.Hour)
	}
	if err := b.DeleteWebhook(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if dead := b.keepAll(); dead != 3 {
		t.Errorf("%d of a deleted webhook's are given up, want 3", dead)
	}
	b.exec(`UPDATE deliveries SET queued_at = now() - $2::interval WHERE id = $1`, string(of[0]), DeliveryLife+time.Minute)
	b.exec(`UPDATE deliveries SET queued_at = now() - $2::interval WHERE id = $1`, string(of[1]), DeliveryLife-time.Minute)
	if dead := b.keepAll(); dead != 1 || b.delivery(of[0]).State != onsale.DeliveryDead || b.delivery(of[1]).State != onsale.DeliveryQueued {
		t.Errorf("%d whose time is over are given up, want 1", dead)
	}
	b.exec(`UPDATE deliveries SET state = 'sent', ended_at = now() - $1::interval WHERE attempts > 0`, DeliveryMemory+time.Minute)
	b.exec(`UPDATE deliveries SET ended_at = now() - $2::interval WHERE id = $1`, string(of[0]), DeliveryMemory-time.Minute)
	b.keepAll()
	if n := b.number(`SELECT count(*) FROM deliveries WHERE lane = $1`, string(w.ID)); n != 1 {
		t.Errorf("%d are remembered, want 1", n)
	}
	if NewsMemory+DeliveryLife > DeliveryMemory {
		t.Error("news could be queued again after they are forgotten")
	}
}

func TestDeadDeliveriesAreReplayedUnderTheirIDs(t *testing.T) {
	b := newBook(t)
	w := b.webhook("https://a.example/")
	for range 3 {
		_, news := b.ended(onsale.OrderDeclined)
		b.queue(news)
	}
	taken := b.take(w.ID.Lane(), 9)
	b.end(taken[0], onsale.DeliveryDead, 0)
	b.end(taken[1], onsale.DeliveryDead, 0)
	b.end(taken[2], onsale.DeliverySent, 0)
	if err := b.ReplayDelivery(t.Context(), taken[2].ID); err != nil {
		t.Fatal(err)
	}
	if err := b.ReplayDelivery(t.Context(), taken[2].ID); onsale.CodeOf(err) != onsale.CodeBadTransition {
		t.Errorf("a queued one: %v", err)
	}
	if err := b.ReplayDelivery(t.Context(), "msg_"+onsale.DeliveryID(strings.Repeat("0", 32))); onsale.CodeOf(err) != onsale.CodeUnknownDelivery {
		t.Errorf("one that never was: %v", err)
	}
	if n, err := b.ReplayDead(t.Context(), "email"); n != 0 || err != nil {
		t.Errorf("of another lane: %d, %v", n, err)
	}
	if n, err := b.ReplayDead(t.Context(), ""); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	again := b.take(w.ID.Lane(), 9)
	if len(again) != 3 || again[0].Attempts != 1 || !slices.ContainsFunc(taken, func(d onsale.Delivery) bool { return d.ID == again[0].ID }) {
		t.Errorf("%+v", again)
	}
	counts, err := b.CountDeliveries(t.Context())
	if err != nil || counts[onsale.ChannelWebhook].Queued != 3 || counts[onsale.ChannelWebhook].OldestAge < 0 || counts[onsale.ChannelEmail].Queued != 0 {
		t.Errorf("%v, %v", counts, err)
	}
	if queued, err := b.Deliveries(t.Context(), onsale.DeliveryQueued, w.ID.Lane(), 2); err != nil || len(queued) != 2 {
		t.Errorf("%d listed, %v", len(queued), err)
	}
}

func TestWebhooksAreBoundedAndEachURLIsOnes(t *testing.T) {
	b := newBook(t)
	for i := range onsale.MaxWebhooks {
		b.webhook(fmt.Sprintf("https://%d.example/", i))
	}
	if _, err := b.CreateWebhook(t.Context(), onsale.Webhook{URL: "https://more.example/", Events: onsale.NewsTypes()}); onsale.CodeOf(err) != onsale.CodeWebhookLimit {
		t.Errorf("one more: %v", err)
	}
	all, err := b.Webhooks(t.Context())
	if err != nil || len(all) != onsale.MaxWebhooks {
		t.Fatalf("%d, %v", len(all), err)
	}
	if err := b.DeleteWebhook(t.Context(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateWebhook(t.Context(), onsale.Webhook{URL: all[1].URL, Events: onsale.NewsTypes()}); onsale.CodeOf(err) != onsale.CodeWebhookExists {
		t.Errorf("the same again: %v", err)
	}
	rotated, err := b.RotateWebhook(t.Context(), all[1].ID)
	if err != nil || rotated.Version != 2 || rotated.RotatedAt == nil {
		t.Errorf("%+v, %v", rotated, err)
	}
	if err := b.DeleteWebhook(t.Context(), all[0].ID); onsale.CodeOf(err) != onsale.CodeUnknownWebhook {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestPostgresRefusesImpossibleDeliveries(t *testing.T) {
	b := newBook(t)
	for _, statement := range []string{
		`INSERT INTO contacts VALUES ('buy_x', 'no address')`,
		`INSERT INTO contacts VALUES ('buy_x', E'a@b.example\nBcc: c@d.example')`,
		`INSERT INTO contacts VALUES ('someone', 'a@b.example')`,
		`INSERT INTO webhooks (id, url, events) VALUES ('whk_x', 'u', '{order.claimed}')`,
		`INSERT INTO webhooks (id, url, events) VALUES ('whk_x', 'u', '{}')`,
		`INSERT INTO webhooks (id, url, events, version) VALUES ('whk_x', 'u', '{order.ticketed}', 2)`,
		`INSERT INTO webhooks (id, url, events, disabled_at) VALUES ('whk_x', 'u', '{order.ticketed}', now())`,
		`INSERT INTO deliveries (order_id, told, lane, buyer, reason, at) VALUES ('o', 'claimed', 'email', 'b', '', now())`,
		`INSERT INTO deliveries (order_id, told, lane, buyer, reason, at) VALUES ('o', 'ticketed', 'fax', 'b', '', now())`,
		`INSERT INTO deliveries (order_id, told, lane, buyer, reason, at, state) VALUES ('o', 'ticketed', 'email', 'b', '', now(), 'dead')`,
		`INSERT INTO deliveries (order_id, told, lane, buyer, reason, at, state, ended_at) VALUES ('o', 'ticketed', 'email', 'b', '', now(), 'sent', now())`,
		`INSERT INTO deliveries (order_id, told, lane, buyer, reason, at) VALUES ('o', 'ticketed', 'email', 'b', '', now()), ('o', 'ticketed', 'email', 'c', '', now())`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("taken: %s", statement)
		}
	}
}
