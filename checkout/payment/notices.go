package payment

import (
	"time"

	"onsale"
)

// Notices reads what a provider tells by itself: its webhooks. They may come never,
// late, more than once and in any order, and each may have been recorded by someone.
// So a notice is a hint that saves a look-up and nothing more: whoever takes one hands
// its result to settlement, where the same result of a charge worker would go.
//
// Where "once" is kept: in Postgres. A result moves an order only out of the state in
// which it waits for one, and a capture is recorded once for each reference
// (persist/verdict.go), so a notice that comes again, or after a later one, changes
// nothing. An id kept in a front would be forgotten with it, and be no safer.
type Notices interface {
	// Header is the name of the header that carries the signature.
	Header() string

	// Read returns what a notice says; nothing if it says nothing that settlement must
	// know. It refuses with onsale.CodeUnauthenticated what was not
	// signed by the provider within five minutes of now, and with onsale.CodeBadRequest
	// what is signed and can't be read.
	Read(signature string, body []byte, now time.Time) (Notice, error)
}

// Notice is what a provider tells by itself: of a charge, of a refund, or of neither.
type Notice struct {
	Charge *onsale.ChargeResult // what became of an order's charge for certain; nil: it is about none
	Refund onsale.RefundID      // a refund that may have failed, and must be asked about; "": it is about none
}
