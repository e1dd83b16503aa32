package engine

import _ "embed"

// openAPI describes the HTTP interface. It is written first; a test holds the
// routes, and the answers they give, to it.
//
//go:embed openapi.yaml
var openAPI []byte

var openAPITag = entityTag(openAPI)
