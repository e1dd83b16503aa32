package engine

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"
)

// mustRevalidate lets a client keep an answer if it asks each time whether it still holds.
const mustRevalidate = "no-cache"

// tagLength is how much of a body's hash names it, in bytes: what two bodies of one
// resource will never share. Nobody attacks it.
const tagLength = 12

// entityTag is the strong ETag of a body, with its quotes.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:tagLength]) + `"`
}

// unchanged names the body that is about to be answered, and reports whether the
// client has it already. It is then answered 304, and the body must be left away.
func unchanged(ctx *fasthttp.RequestCtx, etag string) bool {
	ctx.Response.Header.Set(fasthttp.HeaderETag, etag)
	for _, list := range ctx.Request.Header.PeekAll(fasthttp.HeaderIfNoneMatch) {
		if listed(string(list), etag) {
			ctx.SetStatusCode(http.StatusNotModified)
			return true
		}
	}
	return false
}

// listed reports whether an If-None-Match names a tag. Weak tags match strong
// ones here. Source: RFC 9110, section 13.1.2.
func listed(list, etag string) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for {
		list = strings.TrimPrefix(strings.TrimLeft(list, " \t,"), "W/")
		if !strings.HasPrefix(list, `"`) {
			return false // the end, or no tag: nothing behind it can be told apart
		}
		end := strings.IndexByte(list[1:], '"') // a tag may contain commas, but no quotes
		if end < 0 {
			return false
		}
		tag := list[:end+2]
		if tag == strings.TrimPrefix(etag, "W/") {
			return true
		}
		list = list[len(tag):]
	}
}
