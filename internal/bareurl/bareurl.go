// Package bareurl prints addresses of stores and providers without what is
// secret in them: errors and logs are read by more people than settings are.
package bareurl

import "net/url"

// Unreadable stands for what is no URL. Nothing of it is printed: where its
// password begins can't be told.
const Unreadable = "(not a URL)"

// Of returns scheme, host and path of a URL, and nothing of its user, password,
// query or fragment.
func Of(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return Unreadable
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return bare.String()
}
