package web_test

import (
	"testing"

	"onsale"
)

func TestTheBestSeatsTogetherAreHadWithoutChoosing(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for the best seats together in North stand")
	p.press("One more for the best seats together in North stand")
	p.shoot("best")
	p.press("Hold 2 tickets")
	p.shows(".panel h2", "Held for you")
	p.shows(".panel", "row A, seats 1 and 2")
}

func TestARefusalSaysWhatIsStillFreeNearby(t *testing.T) {
	o := newOffice(t, arena())
	left := int64(3)
	o.refuse(&onsale.Error{Code: onsale.CodeNotTogether, Detail: "not next to each other", Section: "north", Available: &left, Nearby: []onsale.Offer{
		{Section: "north", Available: 3, Seats: []string{"B-7", "D-1"}}, {Section: "south", Available: 5400},
	}})
	p := openEvent(t, o)
	p.press("One more for the best seats together in North stand")
	p.press("Hold 1 ticket")
	p.shows(".notice", "North stand has no seats left that are next to each other")
	p.shows(".notice", "row B, seat 7 and row D, seat 1 in North stand and 5,400 in South stand")
	p.shoot("nearby")
}
