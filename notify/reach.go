package notify

// Where a webhook may lead. Its URL is an operator's, but operators differ from who runs
// the machines: a webhook must not become a way to speak with what stands behind the
// firewall. So the address is looked at when it is dialled, after the name was resolved,
// which no name that changes its mind gets round; and redirects are not followed.

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"onsale"
)

// maxURLLength bounds a webhook's URL, in bytes.
const maxURLLength = 2048

// publicV6 is the only space of IPv6 from which public addresses are given.
var publicV6 = netip.MustParsePrefix("2000::/3")

// special are the networks whose addresses lead to this machine, to its neighbours, to
// nobody, or through a gateway to any of them.
// Source: the IANA special-purpose address registries of IPv4 and IPv6.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// reachable reports whether a webhook may be at the address.
func reachable(address netip.Addr, loopback bool) bool {
	address = address.Unmap().WithZone("")
	if address.IsLoopback() {
		return loopback
	}
	if !address.IsValid() || (address.Is6() && !publicV6.Contains(address)) {
		return false
	}
	for _, p := range special {
		if p.Contains(address) {
			return false
		}
	}
	return true
}

// dialControl refuses connections to addresses where no webhook may be. It is a
// net.Dialer's Control, which is asked with the address that is really dialled.
func dialControl(loopback bool) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("no webhook may be at %s: %w", address, err)
		}
		if !reachable(at.Addr(), loopback) {
			return &failure{text: "no webhook may be at " + at.Addr().String() + ": it is not a public address"}
		}
		return nil
	}
}

// CheckURL refuses, with CodeBadRequest, a URL that no webhook may have: it must be https,
// have a host and no user, and not name an address that isn't public. If loopback is
// allowed, a webhook on this machine may speak plain http.
func CheckURL(text string, loopback bool) error {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURLLength:
		return onsale.Refuse(onsale.CodeBadRequest, fmt.Sprintf("a webhook's url has %d bytes at the most", maxURLLength))
	case err != nil || u.Hostname() == "" || u.Opaque != "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return onsale.Refuse(onsale.CodeBadRequest, "url must be a web address as https://example.com/hook")
	case u.User != nil || u.Fragment != "":
		return onsale.Refuse(onsale.CodeBadRequest, "a webhook's url has no user, password or fragment")
	}
	address, err := netip.ParseAddr(u.Hostname())
	named := err != nil
	local := strings.EqualFold(u.Hostname(), "localhost") || (!named && address.IsLoopback())
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback || !local):
		return onsale.Refuse(onsale.CodeBadRequest, "a webhook's url must be https")
	case local && !loopback, !named && !reachable(address, loopback):
		return onsale.Refuse(onsale.CodeBadRequest, "a webhook's url must lead to a public address")
	}
	return nil
}
