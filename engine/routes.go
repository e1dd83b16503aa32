package engine

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"onsale"
)

// access says who may call a route.
type access int

const (
	anyone access = iota
	buyers
	operators
)

// route is one operation of openapi.yaml; a test holds the two to each other.
type route struct {
	method string
	path   string // segments in braces are parameters
	who    access
	most   int // largest body, in bytes
	handle func(*request) error
}

// named is a route and where it is counted: under its method and path.
type named struct {
	route
	tally *tally
}

// routes are those of the parts that this process has.
func (s *Server) routes() []route {
	var all []route
	if s.cfg.Shop != nil {
		all = append(all, s.cfg.Shop.routes()...)
	}
	if s.cfg.Gateway != nil {
		all = append(all, route{http.MethodGet, "/v1/events/{event}/live", anyone, 0, s.watch})
	}
	return all
}

// router finds a route by method and path, in one look at each segment.
type router struct{ root node }

type node struct {
	children map[string]*node
	param    *node             // for a segment in braces
	routes   map[string]*named // by method
}

func newRouter(routes []route, tallied func(name string) *tally) *router {
	r := &router{}
	for i := range routes {
		n := &r.root
		for segment := range strings.SplitSeq(strings.TrimPrefix(routes[i].path, "/"), "/") {
			n = n.child(segment)
		}
		if n.routes == nil {
			n.routes = map[string]*named{}
		}
		n.routes[routes[i].method] = &named{routes[i], tallied(routes[i].method + " " + routes[i].path)}
	}
	return r
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := n.children[segment]
	if c == nil {
		c = &node{}
		n.children[segment] = c
	}
	return c
}

// find returns the route and its path parameter, or a refusal. What answers GET
// answers HEAD too: fasthttp leaves the body away.
func (r *router) find(method, path []byte) (found *named, param string, err error) {
	n := &r.root
	for segment := range bytes.SplitSeq(bytes.TrimPrefix(path, slash), slash) {
		next := n.children[string(segment)]
		if next == nil && n.param != nil && len(segment) > 0 {
			next, param = n.param, string(segment)
		}
		if next == nil {
			return nil, "", errNoRoute
		}
		n = next
	}
	if string(method) == http.MethodHead {
		method = []byte(http.MethodGet)
	}
	if found = n.routes[string(method)]; found != nil {
		return found, param, nil
	}
	if len(n.routes) > 0 {
		return nil, "", refuseMethod(slices.Collect(maps.Keys(n.routes))...)
	}
	return nil, "", errNoRoute
}

var slash = []byte{'/'}

var errNoRoute = onsale.Refuse(onsale.CodeNotFound, "there is nothing here; /openapi.yaml lists what there is")

// methodRefusal is a refusal that says which methods its path knows.
type methodRefusal struct {
	refusal error
	allow   string
}

func (m *methodRefusal) Error() string { return m.refusal.Error() }
func (m *methodRefusal) Unwrap() error { return m.refusal }

// refuseMethod refuses a method at a path that knows others.
func refuseMethod(known ...string) error {
	if slices.Contains(known, http.MethodGet) {
		known = append(known, http.MethodHead)
	}
	slices.Sort(known)
	allow := strings.Join(known, ", ")
	return &methodRefusal{onsale.Refuse(onsale.CodeMethodNotAllowed, "this path knows "+allow), allow}
}

// admit checks who calls, and notes the buyer.
func (s *Server) admit(r *request, who access) (err error) {
	switch who {
	case buyers:
		r.buyer, err = s.cfg.Sessions.verify(bearer(r.ctx))
		return err
	case operators:
		token := bearer(r.ctx)
		if len(token) == 0 {
			return onsale.Refuse(onsale.CodeUnauthenticated, "give the operator's token as Authorization: Bearer …")
		}
		// Hashed first, so that neither content nor length shows in the time it takes.
		got, want := sha256.Sum256(token), sha256.Sum256([]byte(s.cfg.AdminToken))
		if s.cfg.AdminToken == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return onsale.Refuse(onsale.CodeForbidden, "this is not the operator's token")
		}
	}
	return nil
}

// bearer is the request's token, good until the handler returns; empty if there is none.
func bearer(ctx *fasthttp.RequestCtx) []byte {
	return bearerOf(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization))
}

// bearerOf is the token of an Authorization header's value.
func bearerOf(value []byte) []byte {
	scheme, token, _ := bytes.Cut(value, []byte{' '})
	if !bytes.EqualFold(scheme, []byte("bearer")) {
		return nil
	}
	return token
}
