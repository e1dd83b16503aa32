package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/engine"
)

// maxKeyBytes and maxVoidBytes bound what is read of a key and of lists of void codes: a
// million tickets' are less.
const (
	maxKeyBytes  = 16 << 10
	maxVoidBytes = 256 << 20
)

func ticketCommand() *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: "ticket", Usage: "print the key of tickets, and check their codes without a network",
		Commands: []*cli.Command{
			{
				Name: "key", Usage: "print the public key that every code can be checked with, as PEM",
				Flags: append(s.flags("secret"), &cli.BoolFlag{Name: "base64", Usage: "print its 32 bytes in base 64 instead"}),
				Action: func(_ context.Context, c *cli.Command) error {
					if err := s.checkRole(c); err != nil {
						return err
					}
					return printTicketKey(c, onsale.TicketKey([]byte(s.secret)))
				},
			},
			{
				Name: "verify", ArgsUsage: "CODE…",
				Usage: "check codes (- for standard input, one a line); exits with 1 if one admits nobody",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "key", Usage: "the public key, in this `FILE`, as onsale ticket key prints it", Required: true},
					&cli.StringFlag{Name: "event", Usage: "admit to this `EVENT` alone"},
					&cli.StringFlag{Name: "void", Usage: "refuse the codes listed in this `FILE`: answers of GET /v1/admin/events/EVENT/tickets/void, one after the other"},
				},
				Action: verifyTickets,
			},
		},
	}
}

func printTicketKey(c *cli.Command, key ed25519.PrivateKey) error {
	public, _ := key.Public().(ed25519.PublicKey) // documented to be one
	if c.Bool("base64") {
		_, err := fmt.Fprintln(c.Root().Writer, base64.StdEncoding.EncodeToString(public))
		return err
	}
	text, err := engine.KeyPEM(public)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.Root().Writer, text)
	return err
}

// gate is what a door knows without a network: the key, which event it is of, and which
// codes are void. That a code has been used it can't know.
type gate struct {
	public ed25519.PublicKey
	event  onsale.EventID          // "" for any
	void   map[onsale.TicketID]int // the serial of the latest void code
}

// admits returns what a code admits to, or why it admits nobody.
func (g *gate) admits(code string) (onsale.Ticket, error) {
	t, ok := onsale.VerifyCode(g.public, code)
	switch {
	case !ok:
		return t, errors.New("it is no code of a ticket, or not signed with this key")
	case g.event != "" && t.Event != g.event:
		return t, fmt.Errorf("it is a ticket of event %s, not of %s", t.Event, g.event)
	case t.Serial <= g.void[t.ID]:
		return t, errors.New("it is void: the ticket was refunded, or given to someone who has a new code")
	}
	return t, nil
}

func verifyTickets(_ context.Context, c *cli.Command) error {
	g := &gate{event: onsale.EventID(c.String("event"))}
	var err error
	if g.public, err = readTicketKey(c.String("key")); err != nil {
		return cantStart(err)
	}
	if path := c.String("void"); path != "" {
		if g.void, err = readVoid(path); err != nil {
			return cantStart(err)
		}
	}
	if !c.Args().Present() {
		return wrong("give a code, or - for standard input; see %s --help", c.FullName())
	}
	many := c.Root().Writer
	if c.Args().Len() == 1 && c.Args().First() == "-" {
		return g.verify(bufio.NewScanner(os.Stdin), many, many)
	}
	if c.Args().Len() == 1 {
		many = io.Discard // the error says it
	}
	return g.verify(bufio.NewScanner(strings.NewReader(strings.Join(c.Args().Slice(), "\n"))), c.Root().Writer, many)
}

// verify says of each code what it admits to, or to refused that it doesn't, a line each;
// blank lines are passed over. The error is the one refusal, or how many there were and
// which was the first.
func (g *gate) verify(codes *bufio.Scanner, admitted, refused io.Writer) error {
	seen, failed := 0, 0
	var first error
	for codes.Scan() {
		code := strings.TrimSpace(codes.Text())
		if code == "" {
			continue
		}
		seen++
		t, err := g.admits(code)
		if err == nil {
			fmt.Fprintln(admitted, "admits to", describe(&t))
			continue
		}
		if failed++; first == nil {
			first = fmt.Errorf("code %d admits nobody: %w", seen, err)
		}
		fmt.Fprintf(refused, "code %d admits nobody: %v\n", seen, err)
	}
	switch err := codes.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("after code %d comes a line that is too long to be one", seen)
	case err != nil:
		return fmt.Errorf("read the codes: %w", err)
	case seen == 0:
		return errors.New("there is no code to check")
	case failed > 1:
		return fmt.Errorf("%d of %d codes admit nobody; the first: %w", failed, seen, first)
	}
	return first
}

func describe(t *onsale.Ticket) string {
	text := fmt.Sprintf("%s, %s", t.Event, t.Section)
	if t.Seat != "" {
		text += ", seat " + t.Seat
	}
	return fmt.Sprintf("%s (ticket %s, issue %d)", text, t.ID, t.Serial)
}

// readTicketKey reads an Ed25519 public key: PEM, or its 32 bytes in base 64.
func readTicketKey(path string) (ed25519.PublicKey, error) {
	text, err := readBounded(path, maxKeyBytes)
	if err != nil {
		return nil, fmt.Errorf("can't read the key: %w", err)
	}
	bad := fmt.Errorf("%s is no Ed25519 public key: print one with  onsale ticket key", path)
	block, _ := pem.Decode(text)
	if block == nil {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, bad
		}
		return raw, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if public, ok := parsed.(ed25519.PublicKey); ok && err == nil {
		return public, nil
	}
	return nil, bad
}

// readVoid reads lists of void codes as the API answers them.
func readVoid(path string) (map[onsale.TicketID]int, error) {
	text, err := readBounded(path, maxVoidBytes)
	if err != nil {
		return nil, fmt.Errorf("can't read the list of void codes: %w", err)
	}
	void := map[onsale.TicketID]int{}
	pages := json.NewDecoder(bytes.NewReader(text))
	for {
		var page struct {
			Void *[]onsale.VoidCode `json:"void"`
		}
		err := pages.Decode(&page)
		if errors.Is(err, io.EOF) {
			return void, nil
		}
		if err != nil || page.Void == nil {
			return nil, fmt.Errorf("%s is no list of void codes: fetch it from /v1/admin/events/EVENT/tickets/void", path)
		}
		for _, code := range *page.Void {
			void[code.Ticket] = max(void[code.Ticket], code.Serial)
		}
	}
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}
