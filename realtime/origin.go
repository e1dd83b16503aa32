package realtime

import (
	"net/url"
	"strings"
)

// origins are the web pages that may open a feed, besides those of the server's
// own host. A browser always says which page asks, so a page of someone else's
// can't read a feed in its visitor's name. A client that says nothing isn't a
// browser; whose it is, only a token that it sends itself can say, in the header or in a
// frame: cookies, which a browser would send for it, are never looked at.
type origins map[string]bool

func newOrigins(allowed []string) origins {
	set := make(origins, len(allowed))
	for _, origin := range allowed {
		set[strings.ToLower(strings.TrimSuffix(origin, "/"))] = true
	}
	return set
}

// allow reports whether the page may open a feed of the server that was asked as host.
func (o origins) allow(origin, host string) bool {
	if origin == "" || o[strings.ToLower(origin)] {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
