package feed

import (
	"testing"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"onsale"
	"onsale/bench/rawfeed"
	"onsale/internal/feedclient"
)

func TestAFeedInBinaryEndsAtTheServersView(t *testing.T) {
	t.Parallel()
	s, ask := newStage(t), begin(t)
	openIn(onsale.FeedBinary, s, ask)
	ask(task{Do: doArm})
	s.sell(1)
	if o := ask(task{Do: doCollect}); o.Count != members || len(o.Frame) == 0 || o.Frame[0] == '{' {
		t.Errorf("the update came to %d, as %q", o.Count, o.Frame)
	}
	if o := ask(task{Do: doCheck, View: s.view()}); o.Count != members {
		t.Errorf("%d agree: %q", o.Count, o.Broken)
	}
}

// A floor's sockets have spoken before an update, and get what the feeds got.
func TestAFloorTellsAsManyAsTheFeed(t *testing.T) {
	t.Parallel()
	s, ask := newStage(t), begin(t)
	open(s, ask)
	f := new(floor)
	at := f.do(task{Do: doListen})
	accepted := make(chan outcome, 1)
	go func() { accepted <- f.do(task{Do: doAccept, Count: members}) }()
	ask(task{Do: doOpen, Targets: []string{at.Address}, Source: "127.0.9.10", Count: members, Abreast: 4})
	if o := <-accepted; at.Error+o.Error != "" {
		t.Fatal(at.Error, o.Error)
	}
	t.Cleanup(func() {
		for _, fd := range append(f.sockets, f.listener) {
			if err := unix.Close(fd); err != nil {
				t.Error(err)
			}
		}
	})
	for n := range 2 {
		ask(task{Do: doArm})
		s.sell(n)
		told := ask(task{Do: doCollect})
		if o := f.do(task{Do: doBeat}); o.Error != "" {
			t.Fatal(o.Error)
		}
		ask(task{Do: doArm, Bare: true})
		if o := f.do(task{Do: doSend, Bytes: rawfeed.Server(websocket.TextMessage, told.Frame)}); o.Error != "" {
			t.Fatal(o.Error)
		}
		if o := ask(task{Do: doCollect}); o.Count != members {
			t.Errorf("%d of the floor's have the update", o.Count)
		}
	}
	if o := ask(task{Do: doTake}); o.Gaps+o.Dropped+o.Failed != 0 || o.Deltas != 2*members || len(o.Broken) > 0 {
		t.Errorf("the feeds have seen %+v", o)
	}
}

func TestABareSocketFoldsWhatAFeedFolds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	snapshot := &feedclient.Frame{Snapshot: s.view()}
	delta := &feedclient.Frame{Delta: &onsale.FeedDelta{Epoch: 1, From: 7, Seq: 8, Sections: map[string]onsale.FeedChanges{
		"stand": {Counts: onsale.Counts{Available: 2, Sold: 1}, Seats: []onsale.FeedRun{{Offset: 0, States: "s"}}}}}}
	feed, bare := &client{}, &client{bare: true}
	c := &crowd{feeds: []*client{feed}, bare: []*client{bare}, round: 1, bareOn: true}
	c.reset()
	c.follow(feed, snapshot, nil, nil)
	c.mirrorFeeds()
	c.follow(feed, delta, nil, nil)
	c.follow(bare, delta, nil, nil)
	if view := bare.fold.View(); view == nil || view != feed.fold.View() || view.Seq != 8 {
		t.Errorf("the bare socket's client is at %+v", view)
	}
	if len(c.marks) != 1 || c.deltas != 1 {
		t.Errorf("%d marks and %d deltas", len(c.marks), c.deltas)
	}
}
