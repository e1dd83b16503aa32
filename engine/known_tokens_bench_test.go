package engine

import (
	"testing"
	"time"

	"onsale"
)

// BenchmarkTokens verifies the tokens of a crowd in turn, each signed by us: by its signature, and
// as a front does, which remembers.
func BenchmarkTokens(b *testing.B) {
	s := NewSessions([]byte(sessionSecret))
	tokens := make([][]byte, 20_000)
	for i := range tokens {
		token, _, err := s.Issue(onsale.NewBuyerID(), time.Now())
		if err != nil {
			b.Fatal(err)
		}
		tokens[i] = []byte(token)
	}
	b.Run("signature", func(b *testing.B) {
		b.ReportAllocs()
		now, n := time.Now(), 0
		for b.Loop() {
			if _, _, ok := s.verifyOwn(tokens[n%len(tokens)], now); !ok {
				b.Fatal("not ours")
			}
			n++
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if _, err := s.verify(tokens[n%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}
