package engine

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onsale"
)

const (
	tokenIssuer   = "onsale"
	tokenAudience = "onsale-buyer"
	// tokenLeeway is how far two processes' clocks may be apart.
	tokenLeeway = 10 * time.Second
)

// Sessions signs and checks buyers' tokens: JWTs under HMAC-SHA256, which cost a
// microsecond to check and ask nobody. Safe for concurrent use.
type Sessions struct {
	secret []byte
	parser *jwt.Parser
	checks sync.Pool // of *tokenCheck
	known  knownTokens
}

// NewSessions returns sessions under a secret.
func NewSessions(secret []byte) *Sessions {
	return &Sessions{secret: secret, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience), jwt.WithLeeway(tokenLeeway),
	), checks: sync.Pool{New: func() any { return &tokenCheck{mac: hmac.New(sha256.New, secret)} }}}
}

// Issue signs a token for a buyer, good until the returned time.
func (s *Sessions) Issue(buyer onsale.BuyerID, now time.Time) (token string, expires time.Time, err error) {
	expires = now.Add(onsale.SessionTime).UTC().Truncate(time.Second)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: string(buyer), Issuer: tokenIssuer, Audience: jwt.ClaimStrings{tokenAudience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
	}).SignedString(s.secret)
	return token, expires, err
}

// Verify returns whose token it is, or refuses with unauthenticated.
func (s *Sessions) Verify(token string) (onsale.BuyerID, error) { return s.verify([]byte(token)) }

func (s *Sessions) verify(token []byte) (onsale.BuyerID, error) {
	now := time.Now()
	if buyer, ok := s.known.find(token, now); ok {
		return buyer, nil
	}
	if buyer, expires, ok := s.verifyOwn(token, now); ok {
		s.known.keep(token, buyer, expires)
		return buyer, nil
	}
	var claims jwt.RegisteredClaims
	if _, err := s.parser.ParseWithClaims(string(token), &claims, func(*jwt.Token) (any, error) { return s.secret, nil }); err != nil {
		return "", errSignIn
	}
	buyer := onsale.BuyerID(claims.Subject)
	if !buyer.Valid() {
		return "", errSignIn
	}
	return buyer, nil
}

// The parts of a token in the form that Issue writes.
var (
	ownHeader    = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	ownBeginning = []byte(`{"iss":"` + tokenIssuer + `","sub":"`)
	ownMiddle    = []byte(`","aud":["` + tokenAudience + `"],"exp":`)
)

const (
	// ownLength is longer than any token that Issue writes.
	ownLength = 320
	// ownSignature is how long its signature is: 32 bytes in base 64.
	ownSignature = 43
)

// tokenCheck is what one look at a token needs, to be used again.
type tokenCheck struct {
	mac             hash.Hash
	text            [ownLength]byte
	wanted, claimed [sha256.Size]byte
}

// verifyOwn returns whose token it is and until when, if it is genuine, not expired, and in
// just the form that Issue writes. It is Verify at a sixth of what the library costs, for what
// every request shows; about any other token the library decides.
func (s *Sessions) verifyOwn(token []byte, now time.Time) (id onsale.BuyerID, until time.Time, ok bool) {
	signed := len(token) - ownSignature - 1
	if len(token) > ownLength || signed <= len(ownHeader) || token[signed] != '.' ||
		string(token[:len(ownHeader)]) != ownHeader || token[len(ownHeader)] != '.' {
		return "", time.Time{}, false
	}
	c, _ := s.checks.Get().(*tokenCheck)
	defer s.checks.Put(c)
	text := c.text[:copy(c.text[:], token)]
	c.mac.Reset()
	c.mac.Write(text[:signed]) // never fails
	c.mac.Sum(c.wanted[:0])
	n, err := base64.RawURLEncoding.Strict().Decode(c.claimed[:], text[signed+1:])
	if err != nil || n != sha256.Size || !hmac.Equal(c.claimed[:], c.wanted[:]) {
		return "", time.Time{}, false
	}
	payload := text[len(ownHeader)+1 : signed]
	if n, err = base64.RawURLEncoding.Decode(payload, payload); err != nil { // what is read is ahead of what is written
		return "", time.Time{}, false
	}
	rest, ok := bytes.CutPrefix(payload[:n], ownBeginning)
	buyer, rest, found := bytes.Cut(rest, ownMiddle)
	expires, err := strconv.ParseInt(string(rest[:max(0, bytes.IndexByte(rest, ','))]), 10, 64)
	id, until = onsale.BuyerID(buyer), time.Unix(expires, 0).Add(tokenLeeway)
	if !ok || !found || err != nil || !now.Before(until) || !id.Valid() {
		return "", time.Time{}, false
	}
	return id, until, true
}

var errSignIn = onsale.Refuse(onsale.CodeUnauthenticated, "the token is missing, malformed, forged or expired; sign in with POST /v1/sessions")
