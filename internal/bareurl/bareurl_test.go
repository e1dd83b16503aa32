package bareurl_test

import (
	"testing"

	"onsale/internal/bareurl"
)

func TestNothingSecretIsPrinted(t *testing.T) {
	for text, bare := range map[string]string{
		"redis://127.0.0.1:6379/0":                   "redis://127.0.0.1:6379/0",
		"redis://:sesame@redis:6379/0":               "redis://redis:6379/0",
		"https://sesame@pay.example/v1?key=sesame#s": "https://pay.example/v1",
		"redis://:ses/ame@redis:6379":                bareurl.Unreadable, // taken for a port
		"redis://:ses%zame@redis":                    bareurl.Unreadable,
		"sesame":                                     bareurl.Unreadable,
		"user:sesame@redis:6379":                     bareurl.Unreadable,
		"redis:sesame":                               bareurl.Unreadable,
		"":                                           bareurl.Unreadable,
	} {
		if got := bareurl.Of(text); got != bare {
			t.Errorf("%q is printed %q, want %q", text, got, bare)
		}
	}
}
