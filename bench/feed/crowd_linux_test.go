package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/internal/feedbin"
)

const members = 20

// stage is a server of feeds that says what a test has it say.
type stage struct {
	*httptest.Server
	mu    sync.Mutex
	now   onsale.FeedSnapshot // under mu
	conns []*websocket.Conn   // under mu: of those that were ever open
	asked []string            // under mu: what clients have said
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{now: onsale.FeedSnapshot{Type: onsale.FrameSnapshot, Event: "show", Epoch: 1, Seq: 7, At: time.Now(), Sale: onsale.SaleOpen,
		Sections: []onsale.FeedSection{{ID: "stand", Counts: onsale.Counts{Available: 3}, Seats: "aaa|"}}}}
	upgrader := websocket.Upgrader{Subprotocols: []string{onsale.FeedProtocol, onsale.FeedBinary}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		s.mu.Lock()
		err = say(conn, &s.now)
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		for err == nil {
			var text []byte
			if _, text, err = conn.ReadMessage(); err == nil {
				s.mu.Lock()
				s.asked = append(s.asked, string(text))
				s.mu.Unlock()
			}
		}
		conn.Close()
	}))
	t.Cleanup(func() {
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.Close()
	})
	return s
}

// sell sells the n-th seat and tells everybody of it.
func (s *stage) sell(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	section := &s.now.Sections[0]
	seats := []byte(section.Seats)
	seats[n] = onsale.SeatSold
	section.Seats = string(seats)
	section.Counts.Available--
	section.Counts.Sold++
	delta := onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: 1, From: s.now.Seq, Seq: s.now.Seq + 1, At: time.Now(), Sale: onsale.SaleOpen,
		Sections: map[string]onsale.FeedChanges{"stand": {Counts: section.Counts, Seats: []onsale.FeedRun{{Offset: n, States: "s"}}}}}
	s.now.Seq++
	for _, c := range s.conns {
		_ = say(c, &delta) // some are gone
	}
}

// say sends a message as its client has asked for.
func say(c *websocket.Conn, message any) error {
	if c.Subprotocol() != onsale.FeedBinary {
		return c.WriteJSON(message)
	}
	var data []byte
	var err error
	switch m := message.(type) {
	case *onsale.FeedSnapshot:
		data, err = feedbin.Snapshot(m)
	case *onsale.FeedDelta:
		data, err = feedbin.Delta(m, []string{"stand"})
	}
	return errors.Join(err, c.WriteMessage(websocket.BinaryMessage, data))
}

func (s *stage) view() *onsale.FeedSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.now
	v.Sections = slices.Clone(v.Sections)
	return &v
}

// begin runs a crowd in this process, and returns what asks it. It stays until the tests end,
// as its loop does until its process ends.
func begin(t *testing.T) func(task) outcome {
	t.Helper()
	in, tasks := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runCrowd(in, out) }()
	t.Cleanup(func() {
		_ = tasks.Close() // a pipe's never fails
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	encoder, decoder := json.NewEncoder(tasks), json.NewDecoder(answers)
	return func(task task) (o outcome) {
		t.Helper()
		if err := encoder.Encode(task); err != nil {
			t.Fatal(err)
		}
		if err := decoder.Decode(&o); err != nil || o.Error != "" {
			t.Fatal(err, o.Error)
		}
		return o
	}
}

func open(s *stage, ask func(task) outcome) outcome { return openIn(onsale.FeedProtocol, s, ask) }

func openIn(protocol string, s *stage, ask func(task) outcome) outcome {
	return ask(task{Do: doOpen, Targets: []string{strings.TrimPrefix(s.URL, "http://")}, Source: "127.0.9.9", Path: "/live", Protocol: protocol,
		Count: members, Abreast: 4})
}

// eventually asks until an answer is as it should be.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return
		}
		if pause(ctx, 5*time.Millisecond) != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryClientOfACrowdIsComparedWithTheServer(t *testing.T) {
	t.Parallel()
	s, ask := newStage(t), begin(t)
	if o := open(s, ask); o.Count != members {
		t.Fatalf("%d are open", o.Count)
	}
	began := time.Now()
	ask(task{Do: doArm})
	s.sell(1)
	o := ask(task{Do: doCollect, Since: began.UnixNano()})
	if o.Count != members || o.Last <= began.UnixNano() || !strings.Contains(string(o.Frame), `[1,"s"]`) {
		t.Errorf("the update came to %d, the last one at %d: %s", o.Count, o.Last, o.Frame)
	}
	if o := ask(task{Do: doCheck, View: s.view()}); o.Count != members || len(o.Broken) > 0 {
		t.Errorf("%d agree: %q", o.Count, o.Broken)
	}
	for name, spoil := range map[string]func(*onsale.FeedSnapshot){
		"a seat":     func(v *onsale.FeedSnapshot) { v.Sections[0].Seats = "sas|" },
		"a count":    func(v *onsale.FeedSnapshot) { v.Sections[0].Available++ },
		"a sequence": func(v *onsale.FeedSnapshot) { v.Seq++ },
		"the sale":   func(v *onsale.FeedSnapshot) { v.Sale = onsale.SaleClosed },
	} {
		other := s.view()
		spoil(other)
		if o := ask(task{Do: doCheck, View: other}); o.Count != 0 || len(o.Broken) == 0 {
			t.Errorf("%s is other, and %d agree: %q", name, o.Count, o.Broken)
		}
	}
	if o := ask(task{Do: doTake}); o.Deltas != members || o.Opened != members || o.Dropped+o.Failed+o.Refused > 0 || len(o.Broken) > 0 {
		t.Errorf("it has seen %+v", o)
	}
}

func TestAClientThatMissedSomethingAsksForIt(t *testing.T) {
	t.Parallel()
	s, ask := newStage(t), begin(t)
	open(s, ask)
	s.mu.Lock()
	s.now.Seq += 5
	s.mu.Unlock()
	s.sell(0)
	eventually(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.asked) != members {
			return fmt.Errorf("%d have asked", len(s.asked))
		}
		for _, text := range s.asked {
			if text != `{"type":"resume","epoch":1,"seq":7}` {
				t.Errorf("from where it stood it asked %s", text)
			}
		}
		return nil
	})
	if o := ask(task{Do: doCheck, View: s.view()}); o.Count != 0 {
		t.Errorf("%d agree in a gap", o.Count)
	}
}

func TestACrowdComesBackAfterItWasCut(t *testing.T) {
	t.Parallel()
	s, ask := newStage(t), begin(t)
	open(s, ask)
	s.sell(2)
	if o := ask(task{Do: doHerd, Abreast: members}); o.Count != members {
		t.Errorf("%d are back", o.Count)
	}
	if o := ask(task{Do: doCheck, View: s.view()}); o.Count != members {
		t.Errorf("%d agree: %q", o.Count, o.Broken)
	}
	ask(task{Do: doTake})
	ask(task{Do: doChurn, Count: 200})
	seen := int64(0)
	eventually(t, func() error {
		if seen += ask(task{Do: doTake}).Opened; seen < members {
			return fmt.Errorf("%d came back", seen)
		}
		return nil
	})
	if o := ask(task{Do: doChurn}); o.Count != members {
		t.Errorf("%d are back", o.Count)
	}
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	dropped := int64(0)
	eventually(t, func() error {
		o := ask(task{Do: doTake})
		if dropped += o.Dropped; dropped != members || o.Count != members {
			return fmt.Errorf("%d were dropped, %d are open", dropped, o.Count)
		}
		return nil
	})
}

func TestWhoDoesNotReadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s, ask := newStage(t), begin(t)
	open(s, ask)
	if o := ask(task{Do: doDeafen, Count: 3}); o.Count != 3 {
		t.Fatalf("%d stopped reading", o.Count)
	}
	ask(task{Do: doArm})
	s.sell(0)
	if o := ask(task{Do: doCollect}); o.Count != members-3 {
		t.Errorf("the update came to %d", o.Count)
	}
	ask(task{Do: doRouse})
	if o := ask(task{Do: doCheck, View: s.view()}); o.Count != members {
		t.Errorf("%d agree: %q", o.Count, o.Broken)
	}
}
