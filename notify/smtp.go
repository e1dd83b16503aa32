package notify

// One conversation with the mail server. go-mail speaks it; what it leaves to us is that
// nothing of it lasts longer than a send may, and what an answer means for the mail.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"onsale/internal/bareurl"
)

const (
	// aliveTime and quitTime are how long those words of a conversation may take.
	aliveTime                               = 2 * time.Second
	quitTime                                = time.Second
	portSubmission, portSMTPS, portLoopback = 587, 465, 25
)

// server is where and how mail is handed in.
type server struct {
	host           string
	port           int
	user, password string
	implicitTLS    bool // smtps: TLS from the first byte
	loopback       bool // on this machine: no TLS is asked for, nothing leaves it
	tls            *tls.Config
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
}

// parseServer reads smtp://user:password@host:port or smtps://…. An error is one line
// that repeats no password.
func parseServer(text string) (*server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%s is no mail server: write smtp://user:password@host:587 (with STARTTLS) or smtps://… (with TLS from the start)", bareurl.Of(text))
	}
	s := &server{host: u.Hostname(), implicitTLS: u.Scheme == "smtps", dial: (&net.Dialer{}).DialContext,
		tls: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}
	if u.User != nil {
		s.user = u.User.Username()
		s.password, _ = u.User.Password()
	}
	address, err := netip.ParseAddr(s.host)
	s.loopback = s.host == "localhost" || (err == nil && address.IsLoopback())
	switch {
	case u.Port() != "":
		if s.port, err = strconv.Atoi(u.Port()); err != nil || s.port < 1 || s.port > 65535 {
			return nil, fmt.Errorf("the mail server's port %q is none", u.Port())
		}
	case s.implicitTLS:
		s.port = portSMTPS
	case s.loopback:
		s.port = portLoopback
	default:
		s.port = portSubmission
	}
	return s, nil
}

// session is a conversation in which mails can be handed in, one after the other. One
// goroutine has it at a time.
type session struct {
	client *mail.Client
	smtp   *smtp.Client
	conn   net.Conn
}

// open begins a conversation: TLS and the user's name come before the first mail.
func (s *server) open(ctx context.Context) (_ *session, err error) {
	o := &session{}
	stop := func() bool { return true }
	defer func() { stop() }()
	options := []mail.Option{mail.WithPort(s.port), mail.WithTimeout(sendTimeout), mail.WithTLSConfig(s.tls), mail.WithoutNoop(), mail.WithoutSMTPUTF8(),
		mail.WithDialContextFunc(func(dialling context.Context, network, address string) (net.Conn, error) {
			conn, err := s.dial(dialling, network, address)
			if err != nil {
				return nil, err
			}
			if s.implicitTLS {
				conn = tls.Client(conn, s.tls)
			}
			o.conn = conn
			stop = context.AfterFunc(ctx, o.cut)
			return conn, nil
		})}
	switch {
	case s.implicitTLS:
		options = append(options, mail.WithSSL())
	case s.loopback:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.user != "" {
		auth := mail.SMTPAuthAutoDiscover
		if s.loopback && !s.implicitTLS {
			auth = mail.SMTPAuthPlainNoEnc
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(s.user), mail.WithPassword(s.password))
	}
	if o.client, err = mail.NewClient(s.host, options...); err != nil {
		return nil, &failure{text: "the mail server can't be used: " + err.Error(), down: true}
	}
	if o.smtp, err = o.client.DialToSMTPClientWithContext(ctx); err != nil {
		o.cut() // the library leaves it open
		return nil, &failure{text: "the mail server can't be spoken with: " + err.Error(), down: true}
	}
	return o, nil
}

// alive asks whether the server is still there: servers end conversations as they like, and
// that is found out before the mail.
func (o *session) alive() bool {
	return o.conn.SetDeadline(time.Now().Add(aliveTime)) == nil && o.smtp.Noop() == nil
}

// cut ends the conversation without a word.
func (o *session) cut() {
	if o.conn != nil {
		_ = o.conn.Close() // nobody hears of it
	}
}

// quit ends the conversation politely, for a moment.
func (o *session) quit() {
	_ = o.conn.SetDeadline(time.Now().Add(quitTime)) // if it can't be set the connection is gone
	_ = o.client.CloseWithSMTPClient(o.smtp)         // everything handed in is taken
	o.cut()
}

// handIn gives the server a mail and returns nil when the server has taken it.
func (o *session) handIn(ctx context.Context, m *mail.Msg) error {
	stop := context.AfterFunc(ctx, o.cut)
	defer stop()
	err := o.client.SendWithSMTPClient(o.smtp, m)
	if err == nil || m.IsDelivered() { // what fails after that isn't the mail's
		return nil
	}
	return judgeReply(err)
}

// judgeReply says what a failed attempt means for the mail. Of the server's words only the
// codes are kept: the others repeat the buyer's address.
func judgeReply(err error) error {
	refused, ok := errors.AsType[*mail.SendError](err)
	if !ok || refused.ErrorCode() == 0 {
		return &failure{text: "the conversation with the mail server broke off", down: true}
	}
	code := refused.ErrorCode()
	f := &failure{text: strings.TrimSpace(fmt.Sprintf("the mail server answered %d %s to %s", code, refused.EnhancedStatusCode(), step(refused.Reason)))}
	switch {
	case code == 421, code == 530, code == 534, code == 535, code == 538, refused.Reason == mail.ErrSMTPMailFrom:
		f.down = true // it closes, wants another sign-in, or doesn't take our own address
	case strings.HasPrefix(refused.EnhancedStatusCode(), "5.7."):
		f.down = true // policy: it doesn't relay for us, which someone can mend. Source: RFC 3463
	case code >= 500:
		f.final = true // it will not take this mail
	}
	return f
}

// step is what of SMTP was refused.
func step(reason mail.SendErrReason) string {
	switch reason {
	case mail.ErrSMTPMailFrom:
		return "MAIL FROM"
	case mail.ErrSMTPRcptTo:
		return "RCPT TO"
	default:
		return "DATA"
	}
}
