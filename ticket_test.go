package onsale

import (
	"bytes"
	"crypto/ed25519"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func publicKey(key ed25519.PrivateKey) ed25519.PublicKey {
	public, _ := key.Public().(ed25519.PublicKey) // documented to be one
	return public
}

var ticketOrder = NewHoldID("concert", 1).Order()

func signed(t Ticket, secret string) Ticket {
	t.Sign(TicketKey([]byte(secret)))
	return t
}

func TestATicketCodeSaysWhatItAdmitsTo(t *testing.T) {
	public := publicKey(TicketKey([]byte("secret")))
	longest := NewHoldID(EventID(strings.Repeat("e", 48)), 1<<63).Order()
	for _, want := range []Ticket{
		{ID: ticketOrder.Ticket(1), Order: ticketOrder, Event: "concert", Section: "stand", Seat: "A-1", Serial: 1},
		{ID: ticketOrder.Ticket(50), Order: ticketOrder, Event: "concert", Section: "floor", Serial: 300},
		{ID: longest.Ticket(1 << 40), Order: longest, Event: EventID(strings.Repeat("e", 48)), Section: strings.Repeat("s", 32), Seat: "ABCDEFGH-1000000", Serial: 1 << 40},
	} {
		want = signed(want, "secret")
		if read, ok := VerifyCode(public, want.Code); !ok || read != want {
			t.Errorf("read %+v, %v\nwant %+v", read, ok, want)
		}
		if len(want.Code) > maxCodeLength || !regexp.MustCompile(`^[A-Z2-7]+$`).MatchString(want.Code) {
			t.Errorf("code %s has %d characters, or some that a QR code can't pack", want.Code, len(want.Code))
		}
	}
}

func TestACodeIsShortEnoughForASmallQR(t *testing.T) {
	ticket := signed(Ticket{ID: ticketOrder.Ticket(1), Event: "concert", Section: "stand", Seat: "A-1", Serial: 1}, "secret")
	if len(ticket.Code) > 178 { // what 45 modules a side hold in capitals, a seventh of them lost (ISO 18004: version 7-M)
		t.Errorf("%d characters", len(ticket.Code))
	}
}

func TestAReissuedCodeDiffersAndARepeatedOneDoesNot(t *testing.T) {
	first := signed(Ticket{ID: ticketOrder.Ticket(1), Event: "concert", Section: "stand", Serial: 1}, "secret")
	again := signed(first, "secret")
	next := first
	next.Serial = 2
	if next = signed(next, "secret"); again.Code != first.Code || next.Code == first.Code {
		t.Errorf("codes %s, %s and %s", first.Code, again.Code, next.Code)
	}
}

func TestATicketCodeCantBeForged(t *testing.T) {
	key := TicketKey([]byte("secret"))
	public, other := publicKey(key), publicKey(TicketKey([]byte("another")))
	ticket := signed(Ticket{ID: ticketOrder.Ticket(1), Event: "concert", Section: "stand", Seat: "A-1", Serial: 1}, "secret")
	if _, ok := VerifyCode(other, ticket.Code); ok {
		t.Error("another installation's key was taken")
	}
	for i := range ticket.Code {
		for _, letter := range []byte("A7\n=a") {
			forged := []byte(ticket.Code)
			if forged[i] = letter; forged[i] == ticket.Code[i] {
				continue
			}
			if read, ok := VerifyCode(public, string(forged)); ok {
				t.Fatalf("a code changed at %d reads %+v", i, read)
			}
		}
	}
	data, err := codeEncoding.DecodeString(ticket.Code)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(domain string, payload []byte) string {
		return codeEncoding.EncodeToString(append(bytes.Clone(payload), ed25519.Sign(key, append([]byte(domain), payload...))...))
	}
	payload := data[:len(data)-ed25519.SignatureSize]
	if _, ok := VerifyCode(public, sign(codeDomain, payload)); !ok {
		t.Error("a signature over just this was refused")
	}
	for name, code := range map[string]string{
		"empty": "", "too short": "AAAA", "not base 32": "https://example.org/?q=1", "no end": strings.Repeat("A", 10_000),
		"lower case": strings.ToLower(ticket.Code), "two lines": ticket.Code[:80] + "\n" + ticket.Code[80:], "twice": ticket.Code + ticket.Code,
		"signed for another purpose": sign("something else\x00", payload),
		"signed without a purpose":   sign("", payload),
		"of another version":         sign(codeDomain, append([]byte{codeVersion + 1}, payload[1:]...)),
		"with something behind":      sign(codeDomain, append(bytes.Clone(payload), 0)),
		"cut off":                    sign(codeDomain, payload[:len(payload)-1]),
		"of nothing":                 sign(codeDomain, nil),
		"of a version alone":         sign(codeDomain, payload[:1]),
	} {
		if read, ok := VerifyCode(public, code); ok {
			t.Errorf("%s: reads %+v", name, read)
		}
	}
}

func FuzzVerifyCode(f *testing.F) {
	public := publicKey(TicketKey([]byte("secret")))
	f.Add(signed(Ticket{ID: ticketOrder.Ticket(1), Event: "concert", Section: "stand", Seat: "A-1", Serial: 1}, "another").Code)
	f.Fuzz(func(t *testing.T, code string) {
		if _, ok := VerifyCode(public, code); ok {
			t.Errorf("%q was taken", code)
		}
	})
}

func TestATicketsIdNamesItsOrderAndNumber(t *testing.T) {
	if order, n, ok := ticketOrder.Ticket(12).Parse(); !ok || order != ticketOrder || n != 12 {
		t.Errorf("parsed %s, %d, %v", order, n, ok)
	}
	id := string(ticketOrder.Ticket(1))
	for _, wrong := range []string{"", "tkt_", "tkt_1", "key", id[:len(id)-1], id + "x", id[:len(id)-1] + "0", id[:len(id)-1] + "-1", id[:len(id)-1] + "01", "ord" + id[3:], id[:len(id)-2]} {
		if order, n, ok := TicketID(wrong).Parse(); ok {
			t.Errorf("%q parsed as %s, %d", wrong, order, n)
		}
	}
}

func TestATicketMovesAsItMay(t *testing.T) {
	states, legal := []TicketState{TicketValid, TicketBlocked, TicketVoid}, 0
	for _, from := range states {
		for _, to := range states {
			if from.CanBecome(to) {
				legal++
			}
		}
	}
	if legal != 4 || slices.ContainsFunc(states, TicketVoid.CanBecome) {
		t.Errorf("%d moves, or void is not for good", legal)
	}
}

// TestEachTicketHasItsAnswer is the whole table of what a ticket may be used for.
func TestEachTicketHasItsAnswer(t *testing.T) {
	now, first := time.Now(), &Checkin{Gate: "A"}
	for _, c := range []struct {
		name            string
		ticket          Ticket
		serial          int
		admit, transfer Code
	}{
		{"valid", Ticket{State: TicketValid, Serial: 1}, 1, "", ""},
		{"an old code", Ticket{State: TicketValid, Serial: 2}, 1, CodeTicketReissued, ""},
		{"blocked", Ticket{State: TicketBlocked, Serial: 1}, 1, CodeTicketBlocked, CodeTicketBlocked},
		{"void", Ticket{State: TicketVoid, Serial: 1}, 1, CodeTicketVoid, CodeTicketVoid},
		{"used", Ticket{State: TicketValid, Serial: 1, AdmittedAt: &now}, 1, CodeAlreadyAdmitted, CodeAlreadyAdmitted},
		{"used, an old code", Ticket{State: TicketValid, Serial: 2, AdmittedAt: &now}, 1, CodeTicketReissued, CodeAlreadyAdmitted},
		{"used, refunded", Ticket{State: TicketVoid, Serial: 1, AdmittedAt: &now}, 1, CodeTicketVoid, CodeAlreadyAdmitted},
	} {
		if admit, transfer := CodeOf(c.ticket.CheckAdmission(c.serial, first)), CodeOf(c.ticket.CheckTransfer()); admit != c.admit || transfer != c.transfer {
			t.Errorf("%s: at the gate %q, for a transfer %q", c.name, admit, transfer)
		}
	}
}

func TestATransferTokenIsTheSameUnderTheSameKeyAlone(t *testing.T) {
	buyer, secret := NewBuyerID(), []byte("secret")
	ticket := ticketOrder.Ticket(1)
	token := DeriveTransferToken(secret, ticket, buyer, "key")
	if !token.Valid() || token != DeriveTransferToken(secret, ticket, buyer, "key") || len(token.Hash()) != 32 {
		t.Errorf("token %s", token)
	}
	for _, other := range []TransferToken{DeriveTransferToken([]byte("x"), ticket, buyer, "key"), DeriveTransferToken(secret, ticketOrder.Ticket(2), buyer, "key"),
		DeriveTransferToken(secret, ticket, NewBuyerID(), "key"), DeriveTransferToken(secret, ticket, buyer, "kez"), NewTransferToken()} {
		if other == token || !other.Valid() {
			t.Errorf("token %s, of something else: %s", token, other)
		}
	}
	if TransferToken("trf_x").Valid() || TransferToken(ticket).Valid() {
		t.Error("what is no token was taken for one")
	}
}
