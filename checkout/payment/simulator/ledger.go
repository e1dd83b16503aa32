package simulator

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// A ledger is a file of JSON lines, only ever appended to: a line is one taking,
// setting aside, refusing, calling off or paying back of money. A line is written to the operating system before the charge
// is answered, so that killing the process loses nothing that anyone was told. A
// line counts when its newline is there: a torn last one was never answered, and
// is cut off when the ledger is opened.
//
// Captures are counted by lines, not assumed to be one: should the simulator ever
// take money twice for an order, its ledger says so.
type ledger struct {
	mu     sync.Mutex
	file   *os.File                            // under mu; nil keeps the ledger in memory
	size   int64                               // under mu; of the whole lines in file
	broken error                               // under mu; why nothing can be recorded any more
	orders map[onsale.OrderID]*entry           // under mu
	events map[onsale.EventID][]onsale.OrderID // under mu; in the order of their first line

	refunds map[onsale.RefundID]refundEntry // under mu
}

// entry is what is on record of one order.
type entry struct {
	request  payment.ChargeRequest // what was asked for
	result   onsale.ChargeResult   // what was answered: the first line's, or of what was set aside the one that ended it
	captures int                   // lines that took money
	refunded int64                 // minor units

	authorisedFirst bool // the first line set money aside
	voidedFirst     bool // the first line called it off: nobody had asked for money
}

// refundEntry is what is on record of one refund.
type refundEntry struct {
	request payment.RefundRequest
	result  onsale.RefundResult
}

// line is one line of the file: of a charge or, if it has a Refund, of that.
type line struct {
	Order     onsale.OrderID        `json:"order"`
	Request   payment.ChargeRequest `json:"request,omitzero"`
	Reference string                `json:"reference"`
	Outcome   onsale.ChargeOutcome  `json:"outcome,omitempty"`
	Reason    string                `json:"reason,omitempty"` // why it was declined, or the refund refused
	At        time.Time             `json:"at"`

	Refund        onsale.RefundID       `json:"refund,omitempty"`
	RefundRequest payment.RefundRequest `json:"refund_request,omitzero"`
}

// openLedger reloads the ledger of a file, which is created if it is missing. An
// empty path keeps the ledger in memory.
func openLedger(path string) (*ledger, error) {
	l := &ledger{
		orders: map[onsale.OrderID]*entry{}, events: map[onsale.EventID][]onsale.OrderID{}, refunds: map[onsale.RefundID]refundEntry{},
	}
	if path == "" {
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l.file = file
	if err := l.reload(); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), file.Close())
	}
	return l, nil
}

// reload applies the file's lines and cuts off a torn last one. A whole line that
// is not a ledger's is damage that nobody may write over.
func (l *ledger) reload() error {
	content, err := io.ReadAll(l.file)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for n := 1; ; n++ {
		text, rest, whole := bytes.Cut(content, []byte("\n"))
		if !whole {
			break
		}
		var ln line
		if err := json.Unmarshal(text, &ln); err != nil {
			return fmt.Errorf("line %d is damaged; restore the file from a copy, or move it away: %w", n, err)
		}
		l.apply(ln)
		l.size += int64(len(text)) + 1
		content = rest
	}
	if err := l.file.Truncate(l.size); err != nil {
		return fmt.Errorf("cut off a torn line: %w", err)
	}
	return nil
}

// record puts on record what became of a charge. When it returns nil, the operating
// system has it. When it returns an error, nothing became of it.
func (l *ledger) record(order onsale.OrderID, request payment.ChargeRequest, outcome onsale.ChargeOutcome, reason string) (entry, error) {
	ln := line{Order: order, Request: request, Reference: newReference("chg_"), Outcome: outcome, Reason: reason, At: time.Now().UTC()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(ln); err != nil {
		return entry{}, fmt.Errorf("record charge: %w", err)
	}
	return *l.orders[order], nil
}

// recordRefund puts a refund on record, as refused if there is a reason to. It is as
// durable as a charge.
func (l *ledger) recordRefund(id onsale.RefundID, request payment.RefundRequest, reason string) error {
	ln := line{
		Order: request.Order, Refund: id, RefundRequest: request,
		Reference: newReference("rfn_"), Reason: reason, At: time.Now().UTC(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(ln); err != nil {
		return fmt.Errorf("record refund: %w", err)
	}
	return nil
}

func newReference(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// write appends a line and applies it. The caller holds mu.
func (l *ledger) write(ln line) error {
	text, err := json.Marshal(ln)
	if err != nil {
		return err
	}
	if err := l.append(append(text, '\n')); err != nil {
		return err
	}
	l.apply(ln)
	return nil
}

// append writes one line behind the last whole one. The caller holds mu.
func (l *ledger) append(text []byte) error {
	if l.file == nil || l.broken != nil {
		return l.broken
	}
	if _, err := l.file.WriteAt(text, l.size); err != nil {
		// What was half written must not be taken for a charge after a restart.
		if cut := l.file.Truncate(l.size); cut != nil {
			l.broken = errors.Join(err, cut)
		}
		return err
	}
	l.size += int64(len(text))
	return nil
}

// apply adds a line to what is known. The caller holds mu, or is reload.
func (l *ledger) apply(ln line) {
	if ln.Refund != "" {
		l.applyRefund(ln)
		return
	}
	e, ok := l.orders[ln.Order]
	if !ok {
		e = &entry{
			request:         ln.Request,
			authorisedFirst: ln.Outcome == onsale.ChargeAuthorised,
			voidedFirst:     ln.Reason == onsale.DeclinedVoided,
		}
		l.orders[ln.Order] = e
		l.events[ln.Request.Event] = append(l.events[ln.Request.Event], ln.Order)
	}
	switch {
	case !ok:
		e.result = onsale.ChargeResult{
			Order: ln.Order, Event: ln.Request.Event, Outcome: ln.Outcome, Reference: ln.Reference,
			Amount: ln.Request.Amount, Currency: ln.Request.Currency, Reason: ln.Reason, At: ln.At,
		}
	case e.result.Outcome == onsale.ChargeAuthorised: // its reference stays the one that was told
		e.result.Outcome, e.result.Reason, e.result.At = ln.Outcome, ln.Reason, ln.At
	}
	if ln.Outcome == onsale.ChargeCaptured {
		e.captures++
	}
}

func (l *ledger) applyRefund(ln line) {
	e, was := l.orders[ln.Order], l.refunds[ln.Refund]
	if e != nil && was.result.Outcome == onsale.RefundMade { // it has failed since
		e.refunded -= was.request.Amount
	}
	made := refundEntry{request: ln.RefundRequest, result: onsale.RefundResult{
		ID: ln.Refund, Outcome: onsale.RefundMade, Reference: ln.Reference, At: ln.At,
	}}
	if ln.Reason != "" {
		made.result.Outcome, made.result.Reference, made.result.Reason = onsale.RefundRefused, "", ln.Reason
	} else if e != nil {
		e.refunded += ln.RefundRequest.Amount
	}
	l.refunds[ln.Refund] = made
}

// findRefund returns what is on record of a refund.
func (l *ledger) findRefund(id onsale.RefundID) (refundEntry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.refunds[id]
	return e, ok
}

// find returns what is on record of an order.
func (l *ledger) find(order onsale.OrderID) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.orders[order]
	if !ok {
		return entry{}, false
	}
	return *e, true
}

// page returns at most n entries of an event, from the given one on, and whether
// there are more. Entries never change their place. What is set aside is listed as
// such until it ends.
func (l *ledger) page(event onsale.EventID, from, n int) (entries []onsale.LedgerEntry, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	orders := l.events[event]
	orders = orders[min(from, len(orders)):]
	entries = make([]onsale.LedgerEntry, 0, min(n, len(orders)))
	for _, order := range orders[:min(n, len(orders))] {
		e := l.orders[order]
		entries = append(entries, onsale.LedgerEntry{
			Order: order, Reference: e.result.Reference, Outcome: e.result.Outcome,
			Amount: e.result.Amount, Currency: e.result.Currency, Captures: e.captures, Refunded: e.refunded,
		})
	}
	return entries, len(orders) > n
}

// close closes the file. Nothing can be recorded after it. Twice is fine.
func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || errors.Is(l.broken, os.ErrClosed) {
		return nil
	}
	l.broken = os.ErrClosed
	return l.file.Close()
}
