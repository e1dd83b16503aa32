package engine

import (
	"strings"
	"sync"
	"testing"

	"onsale"
)

const stripedFile = `
id: festival
name: Festival
starts_at: 2030-01-01T20:00:00Z
currency: EUR
max_per_buyer: 4
stripes: 4
sections:
  - {id: meadow, kind: general, capacity: 14, price: 5000}
`

// festival is what the house asks of the striped event.
type festival struct{ *house }

func (f festival) hold(lines string) (token string, a answer) {
	f.t.Helper()
	token = f.signIn()
	return token, f.do("POST", "/v1/events/festival/holds", token, `{"lines":[`+lines+`]}`)
}

func (f festival) mustBuy(quantity string) {
	f.t.Helper()
	var hold onsale.Hold
	token, a := f.hold(`{"section":"meadow","quantity":` + quantity + `}`)
	f.want(201, a, &hold)
	if order := f.buy(token, hold, "tok_ok"); order.State != onsale.OrderTicketed {
		f.t.Errorf("the order is %s: %s", order.State, order.Reason)
	}
}

func (f festival) audit() {
	f.t.Helper()
	var report onsale.AuditReport
	f.want(200, f.operator("GET", "/v1/admin/events/festival/audit?wait=30", ""), &report)
	if err := report.Err(); err != nil || len(report.Unchecked) > 0 {
		f.t.Errorf("the audit found %v, and did not check %v", err, report.Unchecked)
	}
}

func TestAStripedEventSellsLosesAStripeAndSellsOutKafka(t *testing.T) {
	t.Parallel()
	f := festival{newHouse(t)}
	f.want(201, f.operator("POST", "/v1/admin/events", stripedFile), nil)
	f.want(201, f.operator("POST", "/v1/admin/events", stripedFile), nil) // again is no error
	f.want(200, f.operator("POST", "/v1/admin/events/festival/open", ""), nil)
	f.onSale()
	f.mustBuy("4")
	_, a := f.hold(`{"section":"meadow","quantity":2}`) // lost with its stripe, or with all
	f.want(201, a, nil)
	f.audit()

	keys, err := f.redis.Do(t.Context(), f.redis.B().Keys().Pattern(f.prefix+":{festival/2}:*").Build()).AsStrSlice()
	check(t, err)
	if len(keys) == 0 {
		t.Fatal("the stripe has no keys")
	}
	check(t, f.redis.Do(t.Context(), f.redis.B().Del().Key(keys...).Build()).Error())
	f.eventually("the loss is seen", func() bool { return f.current().Epoch > 1 })
	f.onSale()
	f.audit()

	var wg sync.WaitGroup
	for range 5 { // 10 are left, and no stripe has more than 3
		wg.Go(func() { f.mustBuy("2") })
	}
	wg.Wait()
	_, a = f.hold(`{"section":"meadow","quantity":1}`)
	f.refused(409, onsale.CodeSoldOut, a)
	f.audit()
	if !strings.Contains(string(f.do("GET", "/v1/events/festival/availability", "", "").body), `"available":0,"held":0,"pinned":0,"sold":14`) {
		t.Error("what shows is not that all is sold")
	}
}

func (f festival) current() (e onsale.Event) {
	f.t.Helper()
	f.want(200, f.do("GET", "/v1/events/festival", "", ""), &e)
	return e
}

func (f festival) onSale() {
	f.t.Helper()
	f.eventually("the sale shows as open", func() bool { return f.current().Sale == onsale.SaleOpen })
}
