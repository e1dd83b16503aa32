package feed

import (
	"context"
	"fmt"
	"time"

	"onsale"
)

const (
	// compareWithin is how long it may take until every feed shows what the server shows,
	// once nothing happens any more.
	compareWithin = 2 * time.Minute
	compareLook   = 300 * time.Millisecond
)

// compare sees that every feed is open and shows exactly what the server shows, and that
// this is what the audit finds in Redis.
func (r *run) compare(ctx context.Context) error {
	s, err := r.taken(ctx)
	if err != nil {
		return err
	}
	r.figure("open_at_the_end", float64(s.open), "feeds")
	agree, differ := 0, []string(nil)
	for deadline := time.Now().Add(compareWithin); time.Now().Before(deadline); {
		view, err := r.house.view()
		if err != nil {
			return err
		}
		if agree, differ, err = r.compareWith(ctx, view); err != nil {
			return err
		}
		if agree == r.cfg.Conns {
			break
		}
		if err := pause(ctx, compareLook); err != nil {
			return err
		}
	}
	r.figure("feeds_exact", float64(agree), "feeds")
	if agree < r.cfg.Conns {
		r.broken(fmt.Sprintf("%d of %d feeds", r.cfg.Conns-agree, r.cfg.Conns), "%v after the last change they don't show what the server shows: %q",
			compareWithin, differ)
	}
	audit, err := r.house.audit()
	if err != nil {
		return err
	}
	r.report.Audit.Violations = append(r.report.Audit.Violations, audit.Violations...)
	r.report.Audit.Unchecked = audit.Unchecked
	r.report.Audit.Oversold, r.report.Audit.LostOrders, r.report.Audit.DoubleCharges = audit.Oversold, audit.LostOrders, audit.DoubleCharges
	return nil
}

// compareWith counts the feeds that show the view, and tells of some that don't.
func (r *run) compareWith(ctx context.Context, view *onsale.FeedSnapshot) (agree int, differ []string, err error) {
	outcomes, err := r.crowds.ask(ctx, func(int) task { return task{Do: doCheck, View: view} })
	if err != nil {
		return 0, nil, err
	}
	for _, o := range outcomes {
		agree += o.Count
		if len(differ) == 0 {
			differ = o.Broken
		}
	}
	return agree, differ, nil
}
