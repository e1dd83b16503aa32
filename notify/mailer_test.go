package notify

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"onsale"
)

const address = "friend@example.com"

// gala is what the tests' mails are about.
func gala(context.Context, onsale.EventID) (*onsale.Event, error) {
	return &onsale.Event{ID: "gala", Name: "Gala\r\nBcc: all@example.com <b>Żółć</b>", Venue: "Hall", StartsAt: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC),
		Currency: "EUR", Sections: []onsale.Section{{ID: "floor", Name: "The Floor"}}}, nil
}

func newTestMailer(t *testing.T, s *mailServer) *mailer {
	t.Helper()
	m, err := newMailer(MailConfig{Server: s.url(), From: "Arena <tickets@arena.example>", PublicURL: "https://arena.example/", Event: gala})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.rest)
	return m
}

func aDelivery(told onsale.OrderState) onsale.Delivery {
	order := onsale.NewHoldID("gala", 1).Order()
	return onsale.Delivery{ID: "msg_0123456789abcdef0123456789abcdef", Lane: onsale.LaneEmail, Attempts: 1, Order: order, Event: "gala",
		Buyer: onsale.NewBuyerID(), Told: told, Lines: []onsale.Line{{Section: "floor", Quantity: 2}, {Section: "stalls", Quantity: 1, Seats: []string{"A-1"}}},
		Amount: 9000, Currency: "EUR", At: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Address: address}
}

// parts reads a mail as a mail program does: its headers, and its texts by their type.
func parts(t *testing.T, text string) (netmail.Header, map[string]string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m.Header, texts
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		texts[kind] = string(body)
	}
}

func TestTicketedOrderIsMailedInTextAndHTMLWithTheLink(t *testing.T) {
	s := newMailServer(t)
	d := aDelivery(onsale.OrderTicketed)
	m := newTestMailer(t, s)
	for range 2 {
		if err := m.send(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	mails := s.mails()
	if len(mails) != 2 || s.connections() != 1 {
		t.Fatalf("%d mails over %d conversations, want 2 over 1", len(mails), s.connections())
	}
	header, texts := parts(t, mails[0])
	again, _ := parts(t, mails[1])
	if id := header.Get("Message-Id"); id != "<"+string(d.ID)+"@arena.example>" || again.Get("Message-Id") != id || again.Get("Date") != header.Get("Date") {
		t.Errorf("the Message-ID of a repeat: %q, then %q", id, again.Get("Message-Id"))
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(header.Get("Subject"))
	if err != nil || subject != "Your tickets for Gala Bcc: all@example.com <b>Żółć</b>" {
		t.Errorf("subject %q, %v", subject, err)
	}
	for name, want := range map[string]string{"To": "<" + address + ">", "Bcc": "", "Auto-Submitted": "auto-generated"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for kind, wants := range map[string][]string{
		"text/plain": {"https://arena.example/#/orders", "2 × The Floor", "stalls: A-1", "90.00 EUR", string(d.Order), "Saturday, 5 June 2027, 20:00 UTC"},
		"text/html":  {`href="https://arena.example/#/orders"`, "&lt;b&gt;Żółć", "2 × The Floor"},
	} {
		for _, want := range wants {
			if !strings.Contains(texts[kind], want) {
				t.Errorf("%s lacks %q:\n%s", kind, want, texts[kind])
			}
		}
	}
	if strings.Contains(texts["text/html"], "<b>Ż") {
		t.Error("what an operator calls an event is markup in the mail")
	}
}

func TestEachEndOfAnOrderHasItsOwnWords(t *testing.T) {
	subjects := map[string]bool{}
	for _, told := range []onsale.OrderState{onsale.OrderTicketed, onsale.OrderDeclined, onsale.OrderRejected, onsale.OrderRefunded} {
		l, err := newLetter(aDelivery(told), nil, "")
		if err != nil || l.subject == "" || !strings.Contains(l.text, "gala") || strings.Contains(l.text+l.html, "http") {
			t.Errorf("%s: %v\n%s", told, err, l.text)
		}
		subjects[l.subject] = true
	}
	if len(subjects) != 4 {
		t.Errorf("%v", subjects)
	}
	for want, got := range map[string]string{"0.05 EUR": money(5, "EUR"), "5000 JPY": money(5000, "JPY"), "1.234 KWD": money(1234, "KWD")} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhatTheMailServerAnswersDecidesOnTheMail(t *testing.T) {
	at := func(command, answer string) func(string) string {
		return func(said string) string {
			if strings.HasPrefix(strings.ToUpper(said), command) {
				return answer
			}
			return ""
		}
	}
	for name, test := range map[string]struct {
		behave func(string) string
		want   failure // but for its text
		taken  int
	}{
		"greylisted":                       {at("RCPT", "450 4.2.0 <"+address+"> come back later"), failure{}, 0},
		"nobody of that name":              {at("RCPT", "550 5.1.1 <"+address+"> unknown"), failure{final: true}, 0},
		"it does not relay for us":         {at("RCPT", "550 5.7.1 relaying denied"), failure{down: true}, 0},
		"content refused":                  {at("END", "554 5.6.0 no"), failure{final: true}, 0},
		"content put off":                  {at("END", "451 4.3.0 disk full"), failure{}, 0},
		"data put off":                     {at("DATA", "451 4.3.0 not now"), failure{}, 0},
		"our address refused":              {at("MAIL", "550 5.7.1 not you"), failure{down: true}, 0},
		"going away":                       {at("RCPT", "421 4.3.2 closing"), failure{down: true}, 0},
		"signing in wanted":                {at("RCPT", "530 5.7.0 sign in"), failure{down: true}, 0},
		"refuses to speak":                 {at("CONNECT", "554 no service"), failure{down: true}, 0},
		"drops in the envelope":            {at("RCPT", "drop"), failure{down: true}, 0},
		"drops in mid-DATA":                {at("END", "drop"), failure{down: true}, 0},
		"stalls at the greeting":           {at("CONNECT", "stall"), failure{down: true}, 0},
		"stalls in mid-DATA":               {at("END", "stall"), failure{down: true}, 0},
		"takes it and stalls":              {at("END", "stall after"), failure{down: true}, 1}, // a repeat will come
		"takes it and drops before saying": {at("END", "drop after"), failure{down: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMailServer(t)
			s.behave(test.behave)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := newTestMailer(t, s).send(ctx, aDelivery(onsale.OrderTicketed))
			f, ok := errors.AsType[*failure](err)
			if !ok || f.final != test.want.final || f.down != test.want.down || f.gone || len(s.mails()) != test.taken {
				t.Errorf("%v (%+v), want like %+v; %d mails taken", err, f, test.want, len(s.mails()))
			}
			if err != nil && strings.Contains(err.Error(), "friend") {
				t.Errorf("the error says whom it was for: %v", err)
			}
		})
	}
}

func TestAMailThatIsTakenIsSentWhateverFollows(t *testing.T) {
	s := newMailServer(t)
	s.behave(func(said string) string {
		if said == "RSET" {
			return "drop"
		}
		return ""
	})
	m := newTestMailer(t, s)
	for range 2 { // the second on a new conversation: the first is found dead before the mail
		if err := m.send(t.Context(), aDelivery(onsale.OrderTicketed)); err != nil {
			t.Error(err)
		}
	}
	if n, c := len(s.mails()), s.connections(); n != 2 || c != 2 {
		t.Errorf("%d mails over %d conversations", n, c)
	}
}

func TestMailLeavesTheMachineOnlyUnderTLS(t *testing.T) {
	const name = "mail.example"
	for _, test := range []struct {
		what, user     string
		offered, known bool
		taken          int
	}{
		{"with STARTTLS", "user:word@", true, true, 1}, {"without it", "user:word@", false, true, 0}, {"without it, nor a user to sign in", "", false, true, 0},
		{"with a certificate nobody vouches for", "", true, false, 0},
	} {
		s := newMailServer(t)
		config, pool := certificate(t, name)
		if test.offered {
			s.tls = config
		}
		m, err := newMailer(MailConfig{Server: "smtp://" + test.user + name, From: "tickets@arena.example"})
		if err != nil {
			t.Fatal(err)
		}
		if m.server.loopback || m.server.port != portSubmission {
			t.Errorf("%+v", m.server)
		}
		m.server.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.listener.Addr().String())
		}
		if test.known {
			m.server.tls.RootCAs = pool
		}
		var said []string // under s.mu
		s.behave(func(command string) string { said = append(said, command); return "" })
		err = m.send(t.Context(), aDelivery(onsale.OrderTicketed))
		m.rest()
		if (err == nil) != (test.taken == 1) || len(s.mails()) != test.taken {
			t.Errorf("%s: %v, %d mails", test.what, err, len(s.mails()))
		}
		s.mu.Lock()
		for _, command := range said {
			if test.taken == 0 && (strings.HasPrefix(command, "AUTH") || strings.HasPrefix(command, "MAIL")) {
				t.Errorf("%s: said in the clear: %s", test.what, command)
			}
		}
		s.mu.Unlock()
	}
}

func TestMailSettingsThatCanNotBeMeantAreRefusedWithoutThePassword(t *testing.T) {
	good := MailConfig{Server: "smtp://user:geheim@mail.example", From: "tickets@arena.example"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, server := range []string{"", "mail.example", "http://user:geheim@mail.example", "smtp://user:geheim@", "smtp://user:geheim@mail.example:99999", "smtp://user:geheim@mail.example/x", "smtp://user:geheim@m:x"} {
		bad := good
		bad.Server = server
		if err := bad.Check(); err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", server, err)
		}
	}
	for _, from := range []string{"", "nobody", "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example"} {
		bad := good
		bad.From = from
		if bad.Check() == nil {
			t.Errorf("from %q is taken", from)
		}
	}
	for _, public := range []string{"arena.example", "ftp://arena.example", "https://arena.example/?a=b", "https://u@arena.example"} {
		bad := good
		bad.PublicURL = public
		if bad.Check() == nil {
			t.Errorf("public URL %q is taken", public)
		}
	}
}
