package onsale

import "regexp"

// Contact is where a buyer wants to be told of their orders. It is personal data: it is
// kept in Postgres alone, and never in Kafka, logs, metrics or traces.
type Contact struct {
	Email string `json:"email"`
}

const (
	// maxEmailLength is the longest address that fits a mail's path: RFC 5321, 4.5.3.1.3.
	maxEmailLength = 254
	maxLocalLength = 64
)

// emailPattern is what browsers take in an e-mail field: no quotes, comments, spaces or
// line ends, so nothing that could be more than an address in a header or an envelope.
// Source: https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
var emailPattern = regexp.MustCompile("^([a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+)@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$")

// Check refuses, with CodeBadRequest, what is no e-mail address. The refusal doesn't repeat it.
func (c Contact) Check() error {
	if len(c.Email) > maxEmailLength {
		return Refuse(CodeBadRequest, "an e-mail address has 254 characters at the most")
	}
	m := emailPattern.FindStringSubmatch(c.Email)
	if m == nil || len(m[1]) > maxLocalLength {
		return Refuse(CodeBadRequest, "email must be an address as name@example.com")
	}
	return nil
}
