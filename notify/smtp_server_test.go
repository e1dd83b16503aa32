package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailServer speaks SMTP, and misbehaves as its answer says.
type mailServer struct {
	t        *testing.T
	listener net.Listener
	tls      *tls.Config // nil: no STARTTLS
	all      sync.WaitGroup

	mu     sync.Mutex
	answer func(command string) string // under mu: what to answer; "" as usual, "stall", "drop"
	taken  []string                    // under mu: the mails, as they came
	conns  map[net.Conn]bool           // under mu
	opened int                         // under mu
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{t: t, listener: l, conns: map[net.Conn]bool{}, answer: func(string) string { return "" }}
	s.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn], s.opened = true, s.opened+1
			s.mu.Unlock()
			s.all.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		s.all.Wait()
	})
	return s
}

func (s *mailServer) url() string { return "smtp://" + s.listener.Addr().String() }

// behave has the server answer as f says from now on.
func (s *mailServer) behave(f func(command string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// mails are those that were taken so far.
func (s *mailServer) mails() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.taken...)
}

func (s *mailServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = conn.Write([]byte(text + "\r\n")) }
	// told says what the test wants of a command, and whether the conversation goes on.
	told := func(command, usual string) bool {
		s.mu.Lock()
		answer := s.answer(command)
		s.mu.Unlock()
		switch answer {
		case "":
			say(usual)
		case "stall":
			_, _ = in.ReadByte() // until the other side goes
			return false
		case "drop":
			return false
		default:
			say(answer)
			return strings.HasPrefix(answer, "3") || answer[0] != '3' && usual[0] != '3'
		}
		return true
	}
	if !told("CONNECT", "220 mail.example ESMTP") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		command, _, _ := strings.Cut(line, " ")
		switch strings.ToUpper(command) {
		case "EHLO":
			hello := "250-mail.example\r\n250-ENHANCEDSTATUSCODES\r\n"
			if _, secure := conn.(*tls.Conn); s.tls != nil && !secure {
				hello += "250-STARTTLS\r\n"
			} else {
				hello += "250-AUTH PLAIN\r\n"
			}
			if !told(line, hello+"250 8BITMIME") {
				return
			}
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.tls)
			in = bufio.NewReader(conn)
		case "AUTH":
			if !told(line, "235 2.7.0 ok") {
				return
			}
		case "DATA":
			if !told(line, "354 go on") {
				continue
			}
			var mail strings.Builder
			for {
				text, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if text == ".\r\n" {
					break
				}
				mail.WriteString(text)
			}
			s.mu.Lock()
			answer := s.answer("END")
			if answer == "" || answer == "drop after" || answer == "stall after" {
				s.taken = append(s.taken, mail.String())
			}
			s.mu.Unlock()
			switch answer {
			case "":
				say("250 2.0.0 taken")
			case "drop", "drop after":
				return
			case "stall", "stall after":
				_, _ = in.ReadByte()
				return
			default:
				say(answer)
			}
		case "QUIT":
			say("221 bye")
			return
		default: // MAIL, RCPT, RSET, NOOP
			if !told(line, "250 2.0.0 ok") {
				return
			}
		}
	}
}

// certificate is a server's of a name, and who vouches for it.
func certificate(t *testing.T, name string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, pool
}
