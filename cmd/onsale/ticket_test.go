package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onsale"
)

// The command under test has the secret of onsaleCommand.
var testSecret = []byte(strings.Repeat("s", 32))

func code(t onsale.Ticket, secret []byte) string {
	t.Sign(onsale.TicketKey(secret))
	return t.Code
}

// write leaves a file for one test, and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify runs the command without any of the installation's settings, and codes on its
// standard input.
func verify(t *testing.T, input string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	c := onsaleCommand(t.Context(), append([]string{"ticket", "verify"}, args...)...)
	c.Env = append(c.Env, "ONSALE_SECRET=")
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &errs
	_ = c.Run() // its status says it
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestTicketsAreVerifiedWithThePublicKeyAlone(t *testing.T) {
	t.Parallel()
	_, pemText, _ := run(t, "ticket", "key")
	_, base64Text, _ := run(t, "ticket", "key", "--base64")
	order := onsale.NewHoldID("concert", 1).Order()
	seat := onsale.Ticket{ID: order.Ticket(1), Event: "concert", Section: "stand", Seat: "A-1", Serial: 2}
	place := onsale.Ticket{ID: order.Ticket(2), Event: "concert", Section: "floor", Serial: 1}
	seatCode, placeCode := code(seat, testSecret), code(place, testSecret)
	forged := code(seat, []byte("another secret"))
	key := write(t, "key.pem", pemText)
	void := write(t, "void.json", `{"void":[{"ticket":"`+string(seat.ID)+`","serial":1}],"next":"x"}`+"\n"+`{"void":[{"ticket":"`+string(place.ID)+`","serial":1}]}`)
	const noCode = "it is no code of a ticket, or not signed with this key"
	for name, c := range map[string]struct {
		input  string
		args   []string
		status int
		out    string // all of it
		err    string // a part of its one line
	}{
		"one":                     {"", []string{"--key", key, seatCode}, 0, "admits to concert, stand, seat A-1 (ticket " + string(seat.ID) + ", issue 2)\n", ""},
		"by a key in base64":      {"", []string{"--key", write(t, "key", base64Text), placeCode}, 0, "admits to concert, floor (ticket " + string(place.ID) + ", issue 1)\n", ""},
		"of the event":            {"", []string{"--key", key, "--event", "concert", "--void", void, seatCode}, 0, "admits to concert, stand, seat A-1 (ticket " + string(seat.ID) + ", issue 2)\n", ""},
		"of another event":        {"", []string{"--key", key, "--event", "ball", seatCode}, 1, "", "ticket of event concert, not of ball"},
		"void":                    {"", []string{"--key", key, "--void", void, placeCode}, 1, "", "it is void"},
		"forged":                  {"", []string{"--key", key, forged}, 1, "", "not signed with this key"},
		"nonsense":                {"", []string{"--key", key, "żółć"}, 1, "", "no code of a ticket"},
		"several":                 {"", []string{"--key", key, forged, placeCode, "x"}, 1, "code 1 admits nobody: " + noCode + "\nadmits to concert, floor (ticket " + string(place.ID) + ", issue 1)\ncode 3 admits nobody: " + noCode + "\n", "2 of 3 codes admit nobody; the first: code 1"},
		"standard input":          {"\n" + placeCode + " \r\n\n", []string{"--key", key, "-"}, 0, "admits to concert, floor (ticket " + string(place.ID) + ", issue 1)\n", ""},
		"nothing to read":         {"\n", []string{"--key", key, "-"}, 1, "", "there is no code"},
		"a line too long":         {strings.Repeat("A", 100_000), []string{"--key", key, "-"}, 1, "", "too long"},
		"zeroes":                  {"\x00\xff\n", []string{"--key", key, "-"}, 1, "code 1 admits nobody: " + noCode + "\n", "no code"},
		"no code":                 {"", []string{"--key", key}, 2, "", "give a code"},
		"no key":                  {"", []string{seatCode}, 2, "", "key"},
		"a key that is not there": {"", []string{"--key", "/nowhere/key", seatCode}, 2, "", "can't read the key"},
		"a key that is none":      {"", []string{"--key", write(t, "none", "key"), seatCode}, 2, "", "no Ed25519 public key"},
		"a key of another kind":   {"", []string{"--key", write(t, "rsa", "-----BEGIN PUBLIC KEY-----\nMDwwDQYJKoZIhvcNAQEBBQADKwAwKAIhAMv\n-----END PUBLIC KEY-----\n"), seatCode}, 2, "", "no Ed25519 public key"},
		"a list that is none":     {"", []string{"--key", key, "--void", key, seatCode}, 2, "", "no list of void codes"},
		"a list of another kind":  {"", []string{"--key", key, "--void", write(t, "list", `{"tickets":[]}`), seatCode}, 2, "", "no list of void codes"},
	} {
		status, out, err := verify(t, c.input, c.args...)
		if status != c.status || out != c.out || !strings.Contains(err, c.err) || (c.err == "") != (err == "") || strings.Count(err, "\n") > 1 {
			t.Errorf("%s: exits with %d\n%s%s", name, status, out, err)
		}
	}
}
