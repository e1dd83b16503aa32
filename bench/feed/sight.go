package feed

import "context"

// sight is what all crowds have seen since the last look.
type sight struct {
	open                                     int
	delivery, stale                          times
	deltas, gaps, dropped, refused, failures int64
	opened                                   int64
	why                                      string
}

// taken adds up what the crowds have seen since the last time. What broke the protocol
// is a broken promise.
func (r *run) taken(ctx context.Context) (*sight, error) {
	outcomes, err := r.crowds.ask(ctx, func(int) task { return task{Do: doTake} })
	if err != nil {
		return nil, err
	}
	s := &sight{delivery: newTimes(), stale: newTimes()}
	for _, o := range outcomes {
		s.open += o.Count
		s.deltas += o.Deltas
		s.gaps += o.Gaps
		s.dropped += o.Dropped
		s.refused += o.Refused
		s.failures += o.Failed
		s.opened += o.Opened
		if o.Why != "" {
			s.why = o.Why
		}
		for _, text := range o.Broken {
			r.broken("a feed", "%s", text)
		}
		if err := s.delivery.add(o.Delivery); err != nil {
			return nil, err
		}
		if err := s.stale.add(o.Stale); err != nil {
			return nil, err
		}
	}
	if s.dropped+s.failures+s.refused > 0 {
		r.tell("  %d feeds were dropped, %d failed to open, %d were refused: %s", s.dropped, s.failures, s.refused, s.why)
	}
	return s, nil
}
