package engine

import _ "embed"

// openAPI describes the HTTP interface. It is written first; a test holds the
// routes, and the answers they give, to it.
//
//go:embed openapi.yaml
var openAPI []byte

var openAPITag = entityTag(openAPI)

// asyncAPI describes the feed's frames in the same way.
//
//go:embed asyncapi.yaml
var asyncAPI []byte

var asyncAPITag = entityTag(asyncAPI)
