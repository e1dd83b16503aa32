package holds

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

// refusal puts what hold.lua answered into the event's words.
func refusal(l *onsale.Layout, r Request, word, rest string) error {
	switch word {
	case "key_reused":
		return onsale.Refuse(onsale.CodeKeyReused, "another request was made under this Idempotency-Key; use a new one")
	case "not_on_sale":
		return onsale.Refuse(onsale.CodeNotOnSale, "the sale is "+rest)
	case again:
		return onsale.Busy(onsale.CodeOverloaded, "many holds are ending; ask again", time.Second, nil)
	case "buyer_limit":
		left, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return fmt.Errorf("read the refusal %q: %w", word+" "+rest, err)
		}
		return &onsale.Error{Code: onsale.CodeBuyerLimit, Available: &left,
			Detail: fmt.Sprintf("one buyer may have %d; %d left for you", l.Event.MaxPerBuyer, left)}
	case "too_often":
		ms, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return fmt.Errorf("read the refusal %q: %w", word+" "+rest, err)
		}
		return onsale.Busy(onsale.CodeTooOften, "too many holds in a minute; keep the one you have", time.Duration(ms)*time.Millisecond, nil)
	case "sold_out", "not_together", "seat_taken", "accessible":
		index, what, _ := strings.Cut(rest, " ")
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(l.Sections()) {
			return fmt.Errorf("read the refusal %q: no such section", word+" "+rest)
		}
		switch word {
		case "sold_out":
			return soldOut(l.Sections()[i], what)
		case "not_together":
			return notTogether(l.Sections()[i], what)
		}
		seats, err := seatNames(l.Sections()[i], what)
		if err != nil {
			return fmt.Errorf("read the refusal %q: %w", word+" "+rest, err)
		}
		if word == "accessible" {
			return &onsale.Error{Code: onsale.CodeAccessible, Section: l.Sections()[i].ID, Seats: seats,
				Detail: "kept for wheelchairs and companions: " + strings.Join(seats, ", ") + "; say accessible if you need them"}
		}
		return seatTaken(l.Sections()[i], seats)
	}
	return fmt.Errorf("redis answered %q to a hold of %s", word, r.Buyer)
}

func seatTaken(s *onsale.SectionLayout, seats []string) *onsale.Error {
	return &onsale.Error{Code: onsale.CodeSeatTaken, Section: s.ID, Seats: seats, Detail: "taken: " + strings.Join(seats, ", ") + "; pick others"}
}

func soldOut(s *onsale.SectionLayout, available string) error {
	left, err := strconv.ParseInt(available, 10, 64)
	if err != nil {
		return fmt.Errorf("read a sold-out count: %w", err)
	}
	detail := fmt.Sprintf("%d left in %s; ask for less", left, s.Name)
	if left == 0 {
		detail = s.Name + " is sold out for now; held admissions may come back"
	}
	return &onsale.Error{Code: onsale.CodeSoldOut, Section: s.ID, Available: &left, Detail: detail}
}

func notTogether(s *onsale.SectionLayout, available string) error {
	left, err := strconv.ParseInt(available, 10, 64)
	if err != nil {
		return fmt.Errorf("read a not-together count: %w", err)
	}
	return &onsale.Error{Code: onsale.CodeNotTogether, Section: s.ID, Available: &left,
		Detail: fmt.Sprintf("%d left in %s, but not next to each other; ask for less, or say split", left, s.Name)}
}
