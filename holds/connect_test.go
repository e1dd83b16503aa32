package holds

import (
	"reflect"
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

		"redis://:sesame@127.0.0.1:1,127.0.0.1:2",          // a cluster that nobody runs
		"redis://:sesame@127.0.0.1:1,",                     // a host is missing
		"redis+sentinel://:sesame@127.0.0.1:1,127.0.0.1:2", // no master's name
		"redis+sentinel://:sesame@127.0.0.1:1/sale/one",    // no database
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

func TestOneAddressNamesAServerAClusterOrSentinels(t *testing.T) {
	for address, want := range map[string]struct {
		hosts        string
		master       string
		user, secret string
		db           int
		tls          bool
	}{
		"redis://h":                                {hosts: "h:6379"},
		"redis://h:1/3":                            {hosts: "h:1", db: 3},
		"rediss://u:p@h:1":                         {hosts: "h:1", user: "u", secret: "p", tls: true},
		"redis://:p,@/@h:1":                        {}, // what is not written as a URL's
		"redis://:p%2C%40%2F@h:1":                  {hosts: "h:1", secret: "p,@/"},
		"redis://u:p@h:1,i,[::1]:3":                {hosts: "h:1 i:6379 [::1]:3", user: "u", secret: "p"},
		"rediss://h:1,i:2":                         {hosts: "h:1 i:2", tls: true},
		"redis+sentinel://u:p@h:1,i:2/sale":        {hosts: "h:1 i:2", master: "sale", user: "u", secret: "p"},
		"rediss+sentinel://h:1/sale/3":             {hosts: "h:1", master: "sale", db: 3, tls: true},
		"redis://h:1/sale":                         {},
		"redis+sentinel://h:1":                     {},
		"redis+sentinel://h:1/sale?db=x":           {},
		"redis://h:1,,i:2":                         {},
		"h:1":                                      {},
		"redis+sentinel:///sale":                   {},
		"redis+sentinel://h:1/sale?%zz":            {},
		"http://h:1":                               {},
		"redis+sentinel+sentinel://h:1/sale":       {},
		"redis://h:1/0/1":                          {},
		"redis+sentinel://h:1,i:2/sale/0/1":        {},
		"redis+sentinel://h:1/sale?dial_timeout=x": {},
	} {
		opt, err := parse(address)
		if want.hosts == "" {
			if err == nil {
				t.Errorf("%s is read as %v", address, opt.InitAddress)
			}
			continue
		}
		if err != nil || strings.Join(opt.InitAddress, " ") != want.hosts || opt.Sentinel.MasterSet != want.master ||
			opt.Username != want.user || opt.Password != want.secret || opt.SelectDB != want.db || (opt.TLSConfig != nil) != want.tls {
			t.Errorf("%s: %v, %+v", address, err, opt)
		}
		if opt.TLSConfig != nil && len(opt.InitAddress) > 1 && opt.TLSConfig.ServerName != "" {
			t.Errorf("%s: all servers must be called %s", address, opt.TLSConfig.ServerName)
		}
	}
}

func TestASentinelsOwnPasswordIsNotRediss(t *testing.T) {
	opt, err := options("redis+sentinel://u:p@h:1/sale?sentinel_username=v&sentinel_password=q", "--redis")
	if err != nil || opt.Username != "u" || opt.Password != "p" || opt.Sentinel.Username != "v" || opt.Sentinel.Password != "q" {
		t.Errorf("%v, %+v", err, opt)
	}
}

func TestReplicasAddressesAreToldFromTheHostsOfOne(t *testing.T) {
	for text, want := range map[string][]string{
		"":                          nil,
		"redis://a:1":               {"redis://a:1"},
		"redis://a:1, redis://b:2,": {"redis://a:1", "redis://b:2"},
		"redis://a:1,b:2,rediss+sentinel://c:3,d:4/sale,redis://e": {"redis://a:1,b:2", "rediss+sentinel://c:3,d:4/sale", "redis://e"},
		"a:1,redis://b:2": {"a:1", "redis://b:2"},
	} {
		if got := splitAddresses(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is split into %q, not %q", text, got, want)
		}
	}
	if _, err := NewLadder("redis://a:1,redis://:sesame@b:2/x", quiet()); err == nil || strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), "--redis-read") {
		t.Errorf("told %v", err)
	}
}
