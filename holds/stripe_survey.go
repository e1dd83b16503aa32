package holds

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onsale"
)

// stripeStock is what one stripe has of a section, as of a call of its own.
type stripeStock struct {
	epoch          onsale.Epoch
	counts         onsale.Counts
	share          int64         // what it was laid with
	lent, borrowed map[int]int64 // to and from each stripe, ever
}

// capacity is what its counts add up to.
func (s *stripeStock) capacity() int64 {
	n := s.share
	for _, lent := range s.lent {
		n -= lent
	}
	for _, borrowed := range s.borrowed {
		n += borrowed
	}
	return n
}

// survey asks every stripe what it has of a section. A stripe that has less than is
// wanted puts back what is due first.
func (d *Desk) survey(l *onsale.Layout, section, wanted int) ([]stripeStock, error) {
	var asked []errand
	for _, id := range booksOf(l.Event) {
		asked = append(asked, errand{id, newOperation("spare", "", "", strconv.Itoa(section), strconv.Itoa(wanted))})
	}
	replies, err := d.askEach(l, asked)
	if err != nil {
		return nil, err
	}
	stripes := make([]stripeStock, len(replies))
	for i, reply := range replies {
		if reply == again {
			return nil, errReaping
		}
		if stripes[i], err = parseStripe(reply); err != nil {
			return nil, err
		}
		if stripes[i].epoch != stripes[0].epoch {
			return nil, status{word: "recovering"} // one was laid anew already, another not yet
		}
	}
	return stripes, nil
}

var errReaping = onsale.Busy(onsale.CodeOverloaded, "many holds are ending; ask again", stockPause, nil)

// parseStripe reads what stripe.lua answers to spare.
func parseStripe(reply string) (s stripeStock, err error) {
	words := strings.Split(reply, " ")
	const count = 6
	if len(words) != count || words[0] != "ok" {
		return s, fmt.Errorf("the answer %q to a survey has not the form that stripe.lua writes", reply)
	}
	epoch, err1 := strconv.ParseUint(words[1], 10, 64)
	counts, err2 := parseCounts(words[2])
	share, err3 := strconv.ParseInt(words[3], 10, 64)
	lent, err4 := parseLedger(words[4])
	borrowed, err5 := parseLedger(words[5])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return s, fmt.Errorf("the answer %q to a survey: %w", reply, err)
	}
	return stripeStock{epoch: onsale.Epoch(epoch), counts: counts, share: share, lent: lent, borrowed: borrowed}, nil
}

// parseLedger reads "stripe=admissions,…".
func parseLedger(text string) (map[int]int64, error) {
	ledger := map[int]int64{}
	if text == "" {
		return ledger, nil
	}
	for entry := range strings.SplitSeq(text, ",") {
		stripe, total, _ := strings.Cut(entry, "=")
		i, err1 := strconv.Atoi(stripe)
		n, err2 := strconv.ParseInt(total, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		ledger[i] = n
	}
	return ledger, nil
}

// available is what the stripes have between them, not counting what is under way.
func available(stripes []stripeStock) (n int64) {
	for _, s := range stripes {
		n += s.counts.Available
	}
	return n
}

// loan is what one stripe has ever lent to another of a section.
type loan struct {
	section, from, to int
	total             int64
	epoch             onsale.Epoch
}

// borrow is the operation that brings it to where it was lent to.
func (t loan) borrow() *operation {
	return newOperation("borrow", "", "", strconv.Itoa(t.section), strconv.Itoa(t.from),
		strconv.FormatInt(t.total, 10), strconv.FormatUint(uint64(t.epoch), 10))
}

// underWay are the loans of which not all has arrived.
func underWay(section int, stripes []stripeStock) (loans []loan) {
	for from := range stripes {
		for to, total := range stripes[from].lent {
			if to < len(stripes) && stripes[to].borrowed[from] < total {
				loans = append(loans, loan{section, from, to, total, stripes[from].epoch})
			}
		}
	}
	return loans
}

// deliver brings loans to where they were lent to.
func (d *Desk) deliver(l *onsale.Layout, loans []loan) error {
	asked := make([]errand, len(loans))
	for i, t := range loans {
		asked[i] = errand{bookID{l.Event.ID, t.to}, t.borrow()}
	}
	_, err := d.askEach(l, asked)
	return err
}

// lend has the stripes that have most lend to one of them, so that it has as much as is
// wanted there, and returns what it can borrow. It asks for at least a fair share, so
// that not every buyer of a stripe that is short comes for more.
func (d *Desk) lend(l *onsale.Layout, section, to, wanted int, stripes []stripeStock) ([]loan, error) {
	missing := int64(wanted) - stripes[to].counts.Available
	fair := available(stripes) / int64(len(stripes))
	lenders := make([]int, 0, len(stripes))
	for i := range stripes {
		if i != to && stripes[i].counts.Available > 0 {
			lenders = append(lenders, i)
		}
	}
	slices.SortFunc(lenders, func(a, b int) int { return cmp.Compare(stripes[b].counts.Available, stripes[a].counts.Available) })
	var asked []errand
	for _, from := range lenders {
		if missing <= 0 {
			break
		}
		n := min(stripes[from].counts.Available, max(missing, fair))
		missing -= n
		asked = append(asked, errand{bookID{l.Event.ID, from},
			newOperation("lend", "", "", strconv.Itoa(section), strconv.FormatInt(n, 10), strconv.Itoa(to))})
	}
	replies, err := d.askEach(l, asked)
	if err != nil {
		return nil, err // what was lent is under way, and not lost
	}
	loans := make([]loan, len(replies))
	for i, reply := range replies {
		loans[i] = loan{section: section, from: asked[i].book.stripe, to: to}
		if _, err := fmt.Sscanf(reply, "ok %d %d", &loans[i].epoch, &loans[i].total); err != nil {
			return nil, fmt.Errorf("the answer %q to a loan: %w", reply, err)
		}
	}
	return loans, nil
}

// errand is an operation for one of an event's books.
type errand struct {
	book bookID
	op   *operation
}

// askEach has operations done, each at its book and all at the same time. The replies
// are in the order of the errands.
func (d *Desk) askEach(l *onsale.Layout, errands []errand) ([]string, error) {
	var errs []error
	submitted := make([]bool, len(errands))
	for i, e := range errands {
		err := d.book(e.book, l.Event.Epoch).submit(e.op)
		submitted[i] = err == nil
		errs = append(errs, err)
	}
	replies := make([]string, len(errands))
	for i, e := range errands {
		if submitted[i] {
			var err error
			replies[i], err = e.op.await()
			errs = append(errs, err)
		}
	}
	return replies, errors.Join(errs...)
}

// deliverAll finishes whatever is under way of a section, whoever has begun it.
func (d *Desk) deliverAll(l *onsale.Layout, section int) error {
	stripes, err := d.survey(l, section, 0)
	if err != nil {
		return err
	}
	return d.deliver(l, underWay(section, stripes))
}
