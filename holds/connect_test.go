package holds

import (
	"strings"
	"testing"
)

func TestARefusedAddressDoesNotTellItsPassword(t *testing.T) {
	for _, url := range []string{
		"redis://:sesame@127.0.0.1:1/0",      // nobody answers
		"redis://sesame:sesame@127.0.0.1:1",  // as above
		"http://:sesame@127.0.0.1:6379",      // no Redis
		"redis://:sesame@127.0.0.1:6379/one", // no database
		"redis://:%sesame@127.0.0.1:6379",    // no URL
		"redis://:sesame/x@127.0.0.1:6379",   // as above
		":sesame@127.0.0.1:6379",             // as above
	} {
		client, err := Connect(url)
		if err == nil {
			client.Close()
			t.Errorf("%s is accepted", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, "sesame") || strings.Contains(text, "\n") || !strings.Contains(text, "--redis") {
			t.Errorf("%s is told %q", url, text)
		}
	}
}
