package persist

import (
	"testing"

	"onsale"
)

func TestTheStatesWithAClaimAreTheSameInSQLAndInGo(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for _, s := range []onsale.OrderState{onsale.OrderAccepted, onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed,
		onsale.OrderRejected, onsale.OrderDeclined, onsale.OrderRefunded} {
		var has bool
		if err := b.pool.QueryRow(t.Context(), `SELECT $1::text IN `+withClaim, string(s)).Scan(&has); err != nil || has != s.HasClaim() {
			t.Errorf("%s: SQL says %v, Go %v; %v", s, has, s.HasClaim(), err)
		}
	}
}
