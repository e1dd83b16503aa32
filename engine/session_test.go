package engine

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"onsale"
)

const sessionSecret = "a secret of at least thirty-two bytes"

// The short way must know every token that Issue signs, or it saves nothing, and
// none that the library would refuse.
func TestTokensOfOurOwnAreVerifiedTheShortWay(t *testing.T) {
	t.Parallel()
	s := NewSessions([]byte(sessionSecret))
	buyer := onsale.NewBuyerID()
	now := time.Now()
	token, expires, err := s.Issue(buyer, now)
	check(t, err)
	got, until, ok := s.verifyOwn([]byte(token), now)
	if !ok || got != buyer || !until.Equal(expires.Add(tokenLeeway)) {
		t.Fatalf("verifyOwn = %q until %v, %v; want %q until %v and the leeway", got, until, ok, buyer, expires)
	}
	if got, _, ok := s.verifyOwn([]byte(token), until); ok {
		t.Errorf("an expired token is %q's", got)
	}
	if got, _, ok := NewSessions([]byte("another secret of thirty-two bytes!!")).verifyOwn([]byte(token), now); ok {
		t.Errorf("a token of another secret is %q's", got)
	}
}

func TestARememberedTokenIsGoodForNoLonger(t *testing.T) {
	t.Parallel()
	s := NewSessions([]byte(sessionSecret))
	buyer := onsale.NewBuyerID()
	token, expires, err := s.Issue(buyer, time.Now())
	check(t, err)
	if got, ok := s.known.find([]byte(token), time.Now()); ok {
		t.Fatalf("a token that nobody has shown is known as %q's", got)
	}
	if _, err := s.Verify(token); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.known.find([]byte(token), expires); !ok || got != buyer {
		t.Errorf("shown again it is %q's, %v; want %q", got, ok, buyer)
	}
	if got, ok := s.known.find([]byte(token), expires.Add(tokenLeeway)); ok {
		t.Errorf("expired it is %q's", got)
	}
}

func TestTokenWithAnyByteChangedIsRefused(t *testing.T) {
	t.Parallel()
	s := NewSessions([]byte(sessionSecret))
	token, _, err := s.Issue(onsale.NewBuyerID(), time.Now())
	check(t, err)
	if _, err := s.Verify(token); err != nil { // from now on it is remembered
		t.Fatal(err)
	}
	for i := range token {
		for _, c := range []byte("A_.z\x00") {
			changed := token[:i] + string(c) + token[i+1:]
			if changed == token {
				continue
			}
			// The last letter has two bits that no byte of the signature uses.
			if decoded, err := base64.RawURLEncoding.DecodeString(changed[strings.LastIndexByte(changed, '.')+1:]); err == nil && i == len(token)-1 {
				same, _ := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
				if string(decoded) == string(same) {
					continue
				}
			}
			if got, err := s.Verify(changed); err == nil {
				t.Fatalf("byte %d changed to %q: still %q's", i, c, got)
			}
		}
	}
	for _, cut := range []string{"", ".", "..", token[:len(token)-1], token + "A", strings.Repeat("A", 2*ownLength)} {
		if got, err := s.Verify(cut); err == nil {
			t.Errorf("%q is %q's", cut, got)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := NewSessions([]byte(sessionSecret))
	token, _, err := s.Issue(onsale.NewBuyerID(), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
