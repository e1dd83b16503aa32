package notify

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"strings"

	"github.com/wneessen/go-mail"

	"onsale"
)

// MailConfig says how e-mail is sent. All but PublicURL, Event and Attach are needed.
type MailConfig struct {
	// Server is where mail is handed in: smtp://user:password@host:587, where STARTTLS is
	// required unless the host is this machine, or smtps://….
	Server string
	// From is whom mail is from: tickets@example.com, or Arena <tickets@example.com>.
	From string
	// PublicURL is where buyers find the pages; "": mails have no links.
	PublicURL string
	// Event finds what an event is called; nil, or an error: it is called by its id.
	Event func(ctx context.Context, id onsale.EventID) (*onsale.Event, error)
	// Attach returns the files of a mail about tickets; nil: there are none. An error is
	// tried again like any other.
	Attach func(ctx context.Context, d onsale.Delivery) ([]Attachment, error)
}

// Attachment is a file in a mail.
type Attachment struct {
	Name, ContentType string
	Content           []byte
}

// Check says in one line what is wrong, if anything is.
func (c MailConfig) Check() error {
	_, err := newMailer(c)
	return err
}

// mailer hands mail in, over as many conversations as the lane is wide.
type mailer struct {
	cfg    MailConfig
	server *server
	from   *netmail.Address
	domain string        // of Message-IDs
	idle   chan *session // conversations that nobody has
}

func newMailer(cfg MailConfig) (*mailer, error) {
	s, err := parseServer(cfg.Server)
	if err != nil {
		return nil, err
	}
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil || (onsale.Contact{Email: from.Address}).Check() != nil {
		return nil, errors.New("whom mail is from must be an address, as tickets@example.com or Arena <tickets@example.com>")
	}
	if cfg.PublicURL != "" {
		u, err := url.Parse(cfg.PublicURL)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("the public URL must be as https://tickets.example.com")
		}
		cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return &mailer{cfg: cfg, server: s, from: from, domain: domain, idle: make(chan *session, laneWidth)}, nil
}

// send implements sender.
func (m *mailer) send(ctx context.Context, d onsale.Delivery) error {
	msg, err := m.compose(ctx, d)
	if err != nil {
		return err
	}
	s, err := m.session(ctx)
	if err != nil {
		return cutShort(ctx, err)
	}
	if err := s.handIn(ctx, msg); err != nil {
		s.cut()
		return cutShort(ctx, err)
	}
	select {
	case m.idle <- s:
	default:
		s.quit()
	}
	return nil
}

// session returns a conversation: one that is under way if there is one.
func (m *mailer) session(ctx context.Context) (*session, error) {
	select {
	case s := <-m.idle:
		if s.alive() {
			return s, nil
		}
		s.cut()
	default:
	}
	return m.server.open(ctx)
}

// rest implements sender.
func (m *mailer) rest() {
	for {
		select {
		case s := <-m.idle:
			s.quit()
		default:
			return
		}
	}
}

// cutShort tells an attempt that we ended ourselves from a failure of the server.
func cutShort(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("cut short: %w", ctx.Err())
	}
	return err
}

// compose writes the mail. Its Message-ID is the delivery's, so that a mail that comes
// twice can be told from two.
func (m *mailer) compose(ctx context.Context, d onsale.Delivery) (*mail.Msg, error) {
	if err := (onsale.Contact{Email: d.Address}).Check(); err != nil {
		return nil, &failure{text: "the buyer's address can't be mailed to", final: true}
	}
	var event *onsale.Event
	if m.cfg.Event != nil {
		found, err := m.cfg.Event(ctx, d.Event)
		if err != nil && onsale.CodeOf(err) != onsale.CodeUnknownEvent {
			return nil, &failure{text: "the event can't be read: " + err.Error()}
		}
		event = found
	}
	l, err := newLetter(d, event, m.cfg.PublicURL)
	if err != nil {
		return nil, &failure{text: "the mail can't be written: " + err.Error(), final: true}
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(m.from)
	msg.ToMailAddress(&netmail.Address{Address: d.Address})
	msg.Subject(l.subject)
	msg.SetMessageIDWithValue(string(d.ID) + "@" + m.domain)
	msg.SetDateWithValue(d.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	msg.SetBodyString(mail.TypeTextPlain, l.text)
	msg.AddAlternativeString(mail.TypeTextHTML, l.html)
	if m.cfg.Attach != nil && d.Told == onsale.OrderTicketed {
		files, err := m.cfg.Attach(ctx, d)
		if err != nil {
			return nil, &failure{text: "the tickets can't be attached: " + err.Error()}
		}
		for _, f := range files {
			if err := msg.AttachReader(f.Name, strings.NewReader(string(f.Content)), mail.WithFileContentType(mail.ContentType(f.ContentType))); err != nil {
				return nil, &failure{text: "the tickets can't be attached: " + err.Error()}
			}
		}
	}
	return msg, nil
}
