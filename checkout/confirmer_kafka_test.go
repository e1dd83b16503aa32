package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/internal/kafka"
)

// teller produces the orders' news and has a confirmer follow them.
type teller struct {
	*hall
	*line
	t *testing.T
}

func newTeller(t *testing.T, events ...onsale.EventID) *teller {
	t.Helper()
	return &teller{hall: newHall(t, events...), line: newLine(t), t: t}
}

func (s *teller) confirmer(layouts Layouts) *Confirmer {
	return NewConfirmer(ConfirmerConfig{Broker: s.broker, Producer: s.producer, Desk: s.desk, Layouts: layouts, Log: quiet()})
}

// follow runs a confirmer until the test ends.
func (s *teller) follow(layouts Layouts) {
	s.t.Helper()
	c := s.confirmer(layouts)
	if err := c.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { stop(s.t, c.Stop) })
}

// tell produces values, of whatever form, to the orders' topic.
func (s *teller) tell(values ...any) {
	s.t.Helper()
	messages := make([]kafka.Message, len(values))
	for i, v := range values {
		messages[i] = kafka.Message{Topic: onsale.TopicOrders, Key: "order", Value: v}
	}
	if err := s.producer.Produce(s.t.Context(), messages...); err != nil {
		s.t.Fatal(err)
	}
}

// heard waits until the confirmer has nothing left to do.
func (s *teller) heard() {
	s.t.Helper()
	eventually(s.t, "all news are heard", func() bool {
		return s.lag(ConfirmerGroup, onsale.TopicOrders) == 0 && s.lag(LateGroup, onsale.TopicLateNews) == 0
	})
}

func (s *teller) lag(group, topic string) int64 {
	s.t.Helper()
	lag, err := kafka.Lag(s.t.Context(), s.broker, group, topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return lag
}

func news(hold onsale.Hold, state onsale.OrderState) onsale.OrderNews {
	return onsale.OrderNews{Order: hold.ID.Order(), Hold: hold.ID, Event: hold.Event, Buyer: hold.Buyer, Lines: hold.Lines, State: state, At: time.Now()}
}

func TestKafkasNewsOfAnOrdersEndIsItsHoldsEndHoweverOftenItIsTold(t *testing.T) {
	t.Parallel()
	s := newTeller(t)
	ends := map[onsale.OrderState]onsale.HoldState{
		onsale.OrderTicketed: onsale.HoldSold,
		onsale.OrderDeclined: onsale.HoldReleased,
		onsale.OrderRejected: onsale.HoldReleased,
		onsale.OrderRefunded: onsale.HoldReleased,
		onsale.OrderClaimed:  onsale.HoldPinned, // no end: it may still be declined
		onsale.OrderPaid:     onsale.HoldPinned,
	}
	pinned := map[onsale.OrderState]onsale.Hold{}
	for state := range ends {
		pinned[state] = s.pin(alice)
	}
	s.follow(s.find)
	for range 2 {
		for state, hold := range pinned {
			s.tell(news(hold, state))
		}
		s.heard()
		for state, hold := range pinned {
			if got := s.look(hold).State; got != ends[state] {
				t.Errorf("an order is %s, and its hold %s", state, got)
			}
		}
		s.wantFloor(onsale.Counts{Available: 17, Pinned: 2, Sold: 1})
	}
}

func TestKafkasNewsThatNobodyCanActOnAreDeadLettersAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := newTeller(t)
	first, last := s.pin(alice), s.pin(bob)
	elsewhere, noHold, noSection := news(first, onsale.OrderTicketed), news(first, onsale.OrderTicketed), news(first, onsale.OrderTicketed)
	elsewhere.Hold = onsale.NewHoldID("no-such-event", 1)
	noHold.Hold = "nonsense"
	noSection.Lines = []onsale.Line{{Section: "attic", Quantity: 1}}
	s.follow(s.find)
	s.tell(news(first, onsale.OrderDeclined), "not an order", elsewhere, noHold, noSection, news(last, onsale.OrderTicketed))
	s.heard()
	s.wantState(first, onsale.HoldReleased)
	s.wantState(last, onsale.HoldSold)
	var dead []kafka.Record
	for r, err := range kafka.DeadLetters(t.Context(), s.broker, onsale.TopicOrders) {
		if err != nil {
			t.Fatal(err)
		}
		dead = append(dead, r)
	}
	if len(dead) != 4 {
		t.Fatalf("%d dead letters, want 4", len(dead))
	}
	says := []string{"decode", "unknown_event", "no hold's id", "unknown_section"}
	for i, r := range dead {
		if reason, origin := kafka.Reason(r); !strings.Contains(reason, says[i]) || !strings.Contains(origin, onsale.TopicOrders) {
			t.Errorf("%s: reason %q, origin %q", r.Value, reason, origin)
		}
	}
}

func TestKafkasNewsWaitForAnOrderBookThatIsAwayAndAreNoDeadLetters(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]error{
		"it does not answer":     onsale.Busy(onsale.CodeUnavailable, "later", time.Second, nil),
		"someone has to mend it": errors.New("relation events does not exist"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTeller(t)
			hold := s.pin(alice)
			var asked atomic.Int64
			s.follow(func(ctx context.Context, id onsale.EventID) (*onsale.Layout, error) {
				if asked.Add(1) <= 3 {
					return nil, away
				}
				return s.find(ctx, id)
			})
			s.tell(news(hold, onsale.OrderTicketed))
			s.heard()
			s.wantState(hold, onsale.HoldSold)
			s.wantRecords(onsale.TopicOrders+onsale.DeadLetterSuffix, 0)
		})
	}
}

func TestEventsThatAreBeingLaidAnewHoldUpTheOthersForOnePatienceTogether(t *testing.T) {
	t.Parallel()
	s := newTeller(t, "sane")
	sane := s.pin(alice)
	batch := []kafka.Record{record(t, news(sane, onsale.OrderTicketed))}
	const laid = 8
	for i := range laid {
		l := s.announce(onsale.EventID("laid-" + string(rune('a'+i))))
		s.beginLaying(l)
		batch = append(batch, record(t, onsale.OrderNews{Hold: onsale.NewHoldID(l.Event.ID, 1), Buyer: bob, Lines: []onsale.Line{floor(1)}, State: onsale.OrderTicketed}))
	}
	c := s.confirmer(s.find)
	begun := time.Now()
	if err := c.handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < c.patience || took > laid/2*c.patience {
		t.Errorf("a batch with %d events that are being laid took %v, with a patience of %v", laid, took, c.patience)
	}
	s.wantState(sane, onsale.HoldSold)
	s.wantRecords(onsale.TopicLateNews, laid)
	// They are known to be away now, and not waited for again.
	c.patience = time.Hour
	if err := c.handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	s.wantRecords(onsale.TopicLateNews, 2*laid)
}

// An order that came to be after the view that its event's stock is laid around: when its
// news come, Redis refuses them for longer than anybody waits, and then knows nothing of it.
func TestKafkasNewsAreNotLostHoweverLongTheirEventIsBeingLaid(t *testing.T) {
	t.Parallel()
	s := newTeller(t, "sane")
	l := s.announce("laid")
	s.beginLaying(l)
	s.follow(s.find)
	bought := onsale.Hold{ID: onsale.NewHoldID("laid", 1), Event: "laid", Buyer: alice, Lines: []onsale.Line{floor(2)}}
	s.tell(news(bought, onsale.OrderTicketed))
	eventually(t, "its news go round", func() bool { return s.records(onsale.TopicLateNews) > 1 })
	sane := s.pin(bob)
	s.tell(news(sane, onsale.OrderTicketed)) // nobody waits for it meanwhile
	eventually(t, "another event's news are heard", func() bool { return s.look(sane).State == onsale.HoldSold })
	s.finishLaying(l)
	s.heard()
	s.wantState(bought, onsale.HoldSold)
	s.layout = l
	s.wantFloor(onsale.Counts{Available: 18, Sold: 2})
}

func TestNewsWaitUntilTheirEventIsLaid(t *testing.T) {
	t.Parallel()
	s := newTeller(t)
	l := s.announce("laid")
	s.beginLaying(l)
	looked := make(chan struct{}, 10)
	c := s.confirmer(func(ctx context.Context, id onsale.EventID) (*onsale.Layout, error) {
		looked <- struct{}{}
		return s.find(ctx, id)
	})
	c.patience = patience
	hold := onsale.Hold{ID: onsale.NewHoldID("laid", 1), Event: "laid", Buyer: alice, Lines: []onsale.Line{floor(2)}}
	done := make(chan error, 1)
	go func() { done <- c.handle(t.Context(), []kafka.Record{record(t, news(hold, onsale.OrderTicketed))}) }()
	<-looked
	for range 20 { // round trips to Redis: the first attempt is over
		if _, err := s.desk.Stock(t.Context(), s.layout); err != nil {
			t.Fatal(err)
		}
	}
	s.finishLaying(l)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.wantState(hold, onsale.HoldSold)
}

func record(t *testing.T, value any) kafka.Record {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: onsale.TopicOrders, Value: text}
}
