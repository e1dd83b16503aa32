package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"onsale"
)

const (
	// pageSize is the most that Stripe lists at once.
	pageSize = 100
	// maxPages bounds a ledger: a million intents.
	maxPages = 10_000
)

// page is a page of a search's results.
type page struct {
	Data     []found `json:"data"`
	HasMore  bool    `json:"has_more"`
	NextPage string  `json:"next_page"`
}

// found is an intent with its charge, which knows what was paid back.
type found struct {
	intent
	LatestCharge latestCharge `json:"latest_charge"`
}

// latestCharge is the charge of an intent that was asked for: its id alone, where it
// is not expanded.
type latestCharge struct {
	AmountRefunded int64 `json:"amount_refunded"`
}

// UnmarshalJSON takes an id, or null, as a charge of which nothing is known.
func (c *latestCharge) UnmarshalJSON(text []byte) error {
	if text[0] != '{' {
		return nil
	}
	type plain latestCharge // without this method
	return json.Unmarshal(text, (*plain)(c))
}

// query is a search for what this installation has made with a metadata field.
func query(installation, field, value string) string {
	return fmt.Sprintf("metadata[%q]:%q AND metadata[%q]:%q", metaInstallation, installation, field, value)
}

func (p *Provider) search(ctx context.Context, query, next string, limit int) (*page, error) {
	form := url.Values{"query": {query}, "limit": {strconv.Itoa(limit)}, "expand[]": {"data.latest_charge"}}
	if next != "" {
		form.Set("page", next)
	}
	var pg page
	if _, err := p.api.call(ctx, http.MethodGet, "/v1/payment_intents/search", form, "", &pg); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return &pg, nil
}

// Ledger implements payment.Provider. Stripe's search is behind by a minute or so, in an
// outage by more: an audit that comes right after a sale may miss its last charges, and
// says so; asked again it doesn't. (A list is never behind, and can't be had by event: it
// would be the whole account's.)
func (p *Provider) Ledger(ctx context.Context, event onsale.EventID) ([]onsale.LedgerEntry, error) {
	var entries []onsale.LedgerEntry
	at := map[onsale.OrderID]int{} // an order's place in entries
	next := ""
	for range maxPages {
		pg, err := p.search(ctx, query(p.installation, metaEvent, string(event)), next, pageSize)
		if err != nil {
			return nil, fmt.Errorf("ledger of %s at Stripe: %w", event, err)
		}
		for i := range pg.Data {
			f := &pg.Data[i]
			if f.belongsTo(f.Metadata[metaOrder], p.installation) != nil {
				continue
			}
			e, ok := f.entry()
			if !ok {
				continue
			}
			if known, twice := at[e.Order]; twice {
				entries[known] = merge(entries[known], e)
				continue
			}
			at[e.Order] = len(entries)
			entries = append(entries, e)
		}
		if next = pg.NextPage; !pg.HasMore || next == "" {
			return entries, nil
		}
	}
	return nil, fmt.Errorf("ledger of %s at Stripe: more than %d intents", event, maxPages*pageSize)
}

// entry is what an intent comes to; there is none while it is undecided.
func (f *found) entry() (onsale.LedgerEntry, bool) {
	r, err := f.result()
	if err != nil || f.unasked() {
		return onsale.LedgerEntry{}, false
	}
	e := onsale.LedgerEntry{
		Order: r.Order, Reference: r.Reference, Outcome: r.Outcome, Amount: r.Amount, Currency: r.Currency,
		Refunded: f.LatestCharge.AmountRefunded,
	}
	if r.Outcome == onsale.ChargeCaptured {
		e.Captures = 1
	}
	return e, true
}

// merge makes one entry of two intents of an order, of which there should be one: what
// took money counts.
func merge(a, b onsale.LedgerEntry) onsale.LedgerEntry {
	if a.Captures == 0 {
		a, b = b, a
	}
	a.Captures += b.Captures
	a.Refunded += b.Refunded
	return a
}
