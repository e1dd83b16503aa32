package engine

import (
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

// Sessions signs and checks buyers' tokens: JWTs under HMAC-SHA256, which costs a
// microsecond or two to check and asks nobody. Safe for concurrent use.
type Sessions struct {
	secret []byte
	parser *jwt.Parser
}

// NewSessions returns sessions under a secret.
func NewSessions(secret []byte) *Sessions {
	return &Sessions{secret: secret, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience), jwt.WithLeeway(tokenLeeway),
	)}
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
func (s *Sessions) Verify(token string) (onsale.BuyerID, error) {
	var claims jwt.RegisteredClaims
	if _, err := s.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return s.secret, nil }); err != nil {
		return "", errSignIn
	}
	buyer := onsale.BuyerID(claims.Subject)
	if !buyer.Valid() {
		return "", errSignIn
	}
	return buyer, nil
}

var errSignIn = onsale.Refuse(onsale.CodeUnauthenticated, "the token is missing, malformed, forged or expired; sign in with POST /v1/sessions")
