package payment

// The signature of a notice, which is Stripe's scheme: a header
// t=<unix seconds>,v1=<hex HMAC-SHA256 of t + "." + the raw body>. While a secret is
// being changed there is one v1 for each.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsale"
)

const (
	// webhookTolerance is how far a notice's time may be from ours: what is older
	// may have been recorded and sent again by someone else.
	webhookTolerance = 5 * time.Minute
	// maxSignatures is how many v1 are looked at.
	maxSignatures = 4
)

var errNoSignature = errors.New("write it as t=…,v1=…")

// VerifySignature returns nil if one of the header's signatures is of the raw body,
// by whoever knows the secret, made within five minutes of now. Otherwise it refuses
// with onsale.CodeUnauthenticated; name is the header's.
func VerifySignature(name string, secret []byte, header string, body []byte, now time.Time) error {
	if len(secret) == 0 {
		// Anyone can sign with an empty secret.
		return onsale.Refuse(onsale.CodeUnauthenticated, "no webhook secret is configured")
	}
	t, signatures, err := parseSignature(header)
	if err != nil {
		return onsale.Refuse(onsale.CodeUnauthenticated, name+": "+err.Error())
	}
	// The signature first: the time of an unsigned header says nothing.
	matches, want := false, webhookMAC(secret, t, body)
	for _, mac := range signatures {
		matches = hmac.Equal(mac, want) || matches
	}
	if !matches {
		return onsale.Refuse(onsale.CodeUnauthenticated, name+": the signature does not match the body")
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return onsale.Refuse(onsale.CodeUnauthenticated, name+": t is not a time in seconds")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > webhookTolerance {
		return onsale.Refuse(onsale.CodeUnauthenticated, fmt.Sprintf("%s: signed more than %s from now", name, webhookTolerance))
	}
	return nil
}

// parseSignature takes a header apart. Fields that it does not know are left to
// later versions; t must occur exactly once, and v1 at least once.
func parseSignature(header string) (t string, signatures [][]byte, err error) {
	for field := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || (name == "t" && t != ""):
			return "", nil, errNoSignature
		case name == "t":
			t = value
		case name == "v1":
			mac, err := hex.DecodeString(value)
			if err != nil || len(mac) != sha256.Size || len(signatures) == maxSignatures {
				return "", nil, errNoSignature
			}
			signatures = append(signatures, mac)
		}
	}
	if t == "" || len(signatures) == 0 {
		return "", nil, errNoSignature
	}
	return t, signatures, nil
}

// sign returns a header for a body that is sent now.
func sign(secret, body []byte, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(webhookMAC(secret, t, body))
}

func webhookMAC(secret []byte, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t)) // hash.Hash never returns an error
	mac.Write([]byte("."))
	mac.Write(body)
	return mac.Sum(nil)
}
