package simulator

// A late payment: the provider says that a charge is declined, and takes the money all
// the same, a while later. Nobody asks after what was declined, so its notice alone tells
// of it, and must come through: it is sent until it is taken, across kills of either side.
// What is still to be captured or told is read from the ledger, which alone survives:
//
//	dies …                                  is left                       happens
//	after the decline                       a charge to be captured       captured when due, or at the start after it
//	after the capture, before it is told    a capture that nobody knows   told after the start
//	after it is told, before that is noted  the same                      told again, under the same id

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

const (
	// lateEvery is how often charges that are to be captured late are looked for, and
	// those that are not told yet are told.
	lateEvery = 100 * time.Millisecond
	// latePrefix begins the tokens of late payments, before the delay in milliseconds.
	latePrefix = "tok_late_"
)

// lateBy is how long after it was declined a charge with the token is captured.
func lateBy(token string) (by time.Duration, late bool) {
	ms, late := strings.CutPrefix(token, latePrefix)
	if !late {
		return 0, false
	}
	n, err := strconv.ParseUint(ms, 10, 32)
	if err != nil || int64(n) > maxDelay.Milliseconds() {
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}

// captureLate captures what is due. What fails is tried again in the next round.
func (s *Simulator) captureLate(ctx context.Context) {
	for _, order := range s.ledger.lateDue(time.Now()) {
		if err := s.captureDeclined(ctx, order); err != nil {
			s.log.Warn("late payment not captured; it is tried again", "order", order, "error", err)
			return
		}
	}
}

// tellAllLate tells what was captured late and is not told. As above.
func (s *Simulator) tellAllLate(ctx context.Context) {
	for _, result := range s.ledger.untold() {
		if *s.notifier.url.Load() == "" {
			return
		}
		if err := s.tellLate(ctx, result); err != nil {
			s.log.Debug("late payment not told; it is told again", "order", result.Order, "error", err)
			return
		}
	}
}

func (s *Simulator) captureDeclined(ctx context.Context, order onsale.OrderID) error {
	if err := s.keys.lock(ctx, order); err != nil {
		return err
	}
	defer s.keys.unlock(order)
	e, _ := s.ledger.find(order)
	_, err := s.ledger.record(order, e.request, onsale.ChargeCaptured, "")
	return err
}

func (s *Simulator) tellLate(ctx context.Context, result onsale.ChargeResult) error {
	body, err := json.Marshal(noticeOf(result))
	if err != nil {
		return fmt.Errorf("encode the notice: %w", err)
	}
	if err := s.notifier.post(ctx, body); err != nil {
		return err
	}
	return s.ledger.noteTold(result.Order)
}

// applyLate notes what a line means for a late payment. The caller holds mu, or is reload.
func (l *ledger) applyLate(ln line) {
	by, late := lateBy(ln.Request.PaymentToken)
	switch {
	case !late:
	case ln.Outcome == onsale.ChargeDeclined && ln.Reason != onsale.DeclinedVoided:
		l.late[ln.Order] = ln.At.Add(by)
	case ln.Outcome == onsale.ChargeCaptured:
		delete(l.late, ln.Order)
		l.silent[ln.Order] = struct{}{}
	}
}

// lateDue returns the orders that were declined, and are to be captured by now.
func (l *ledger) lateDue(now time.Time) (due []onsale.OrderID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for order, at := range l.late {
		if !now.Before(at) {
			due = append(due, order)
		}
	}
	return due
}

// untold returns what was captured late and is not noted as told.
func (l *ledger) untold() (untold []onsale.ChargeResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for order := range l.silent {
		untold = append(untold, l.orders[order].result)
	}
	return untold
}

// noteTold puts on record that the notice of a late payment was taken.
func (l *ledger) noteTold(order onsale.OrderID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(line{Order: order, Told: true, At: time.Now().UTC()}); err != nil {
		return fmt.Errorf("record what was told: %w", err)
	}
	return nil
}
