package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// masked stands for a payment token: whoever has one may charge with it.
const masked = "***"

// tokenText is a payment token in what is not quite JSON, up to its end, if it has one.
var tokenText = regexp.MustCompile(`(?i)("payment_?token"\s*:\s*)("(?:[^"\\]|\\.)*("|$)|[^\s,}"]+)`)

// maskTokens returns a record's value with its payment tokens masked: as it was if it
// is JSON, else as a JSON text.
func maskTokens(value []byte) json.RawMessage {
	var v any
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if !json.Valid(value) || d.Decode(&v) != nil {
		v = tokenText.ReplaceAllString(string(value), `${1}"`+masked+`"`)
	}
	out, err := json.Marshal(maskIn(v))
	if err != nil {
		panic(err) // what was decoded a moment ago
	}
	return out
}

// maskIn masks whatever a stage would take for a payment token: names are matched
// without regard to case there too.
func maskIn(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if strings.EqualFold(name, "payment_token") {
				v[name] = masked
				continue
			}
			v[name] = maskIn(inner)
		}
	case []any:
		for i := range v {
			v[i] = maskIn(v[i])
		}
	}
	return v
}

// printable is a text without what would steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
