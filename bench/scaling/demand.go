package scaling

import "time"

// Sale is one event and the crowd that comes for it.
type Sale struct {
	Name    string
	Users   float64
	Over    time.Duration // they arrive at the doors, evenly
	Tickets float64
}

// Sales are the sizes that the tables speak of: each crowd once over a minute, for a ticket each third can have,
// and once within a second, for a ticket each thirtieth can have.
func Sales() []Sale {
	var all []Sale
	for _, crowd := range []struct {
		name  string
		users float64
	}{{"150 k", 150e3}, {"1 M", 1e6}, {"10 M", 10e6}} {
		all = append(all,
			Sale{crowd.name + " in 60 s", crowd.users, time.Minute, crowd.users / 3},
			Sale{crowd.name + " in 1 s", crowd.users, time.Second, crowd.users / 30})
	}
	return all
}

// Demand is what a sale asks of each tier at its peak.
type Demand struct {
	Holds  float64 // that are granted
	Orders float64 // that are paid for

	Opening  float64 // 1/s: feeds opened, and guests who sign in, before the doors
	Asks     float64 // 1/s: requests for holds at the fronts
	Refusals float64 // 1/s: of those, answered "sold out" without Redis
	Redis    float64 // 1/s: of those, that go to Redis while there is something left
	SoldOut  float64 // s: until all is held
	Checkout float64 // 1/s
	Settled  float64 // 1/s: orders that one event's settlement can bring to their tickets
	LastOrd  float64 // s: until the last order has its tickets, from the first check-out
	Frames   float64 // 1/s: deltas written to browsers
	Beats    float64 // 1/s: heartbeats
}

// Of says what a sale asks for.
//
// Fronts answer at the pace at which the crowd comes, or, if it comes faster, at the pace that lets the last one have
// an answer within answerWithin. As long as there is something left everybody's first ask goes to Redis, and for
// mirrorLag after it; Redis has soldOutWithin for that, or as long as buyers come.
func Of(s Sale, c Constants) Demand {
	answering := max(s.Over, answerWithin).Seconds()
	d := Demand{Holds: s.Tickets / places, Opening: s.Users / openOver.Seconds(), Beats: s.Users / heartbeat.Seconds(), Frames: s.Users * framesPerSecond}
	d.Orders = d.Holds * pays

	first := s.Users / answering // 1/s: those who ask for the first time
	asked := d.Holds + first*mirrorLag.Seconds()
	d.Redis = min(first, asked/soldOutWithin.Seconds())
	d.SoldOut = d.Holds / d.Redis

	all := d.Holds + (s.Users-d.Holds)*asks
	d.Asks = all / answering
	d.Refusals = max(0, d.Asks-d.Redis)
	d.Asks = d.Redis + d.Refusals

	paying := max(payOver.Seconds(), d.SoldOut)
	d.Checkout = d.Orders / paying
	d.Settled = min(d.Checkout, c.SettleRate)
	d.LastOrd = max(paying, d.Orders/c.SettleRate)
	return d
}
