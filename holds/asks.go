package holds

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"onsale"
)

// keyless is the fingerprint of a request that has no key; book.lua knows it.
const keyless = "-"

// Form is asks as they are written for Redis. Most of a crowd asks for the same, so that whoever
// keeps forms spares itself the writing. It is never changed; safe for concurrent use.
type Form struct {
	Asks           []onsale.CheckedAsk
	name           string
	keyed, keyless []string // the arguments of a request with a key, and of one without
}

// NewForm writes asks, as Layout.CheckAsks has completed them.
func NewForm(asks []onsale.CheckedAsk) *Form {
	f := &Form{Asks: asks}
	f.name, f.keyed = holdArgs(Request{Asks: asks, Key: "some"})
	_, f.keyless = holdArgs(Request{Asks: asks})
	return f
}

// args are the arguments of a request of this form.
func (f *Form) args(key string) []string {
	if key == "" {
		return f.keyless
	}
	return f.keyed
}

// arguments are the name and the arguments of the request's operation.
func (r *Request) arguments() (name string, args []string) {
	if r.Form != nil {
		return r.Form.name, r.Form.args(r.Key)
	}
	return holdArgs(*r)
}

// holdArgs are the arguments of a hold, and which operation of hold.lua it is. The
// fingerprint is that of the asks, as they are written here.
func holdArgs(r Request) (name string, args []string) {
	if len(r.Asks) == 1 && isGeneral(&r.Asks[0]) {
		a := &r.Asks[0]
		return "general", []string{fingerprint(r.Key, "general", section(a), quantity(a)), section(a), quantity(a)}
	}
	if len(r.Asks) == 1 && isBlock(&r.Asks[0]) {
		a := &r.Asks[0]
		args = []string{"", section(a), quantity(a), strconv.Itoa(a.In[0].Start), strconv.Itoa(a.In[0].End)}
		args[0] = fingerprint(r.Key, args...)
		return "block", args
	}
	args = make([]string, 3, 4+8*len(r.Asks))
	args[2] = strconv.Itoa(len(r.Asks))
	for i := range r.Asks {
		args = appendAsk(args, &r.Asks[i])
	}
	args[0], args[1] = strconv.Itoa(len(args)-1), fingerprint(r.Key, args[2:]...)
	return "hold", args
}

// fingerprintAt is where an operation's arguments have the fingerprint.
func fingerprintAt(name string) int {
	if name == "hold" {
		return 1
	}
	return 0
}

// fingerprint tells one request under a key from another.
func fingerprint(key string, asks ...string) string {
	if key == "" {
		return keyless
	}
	sum := sha256.Sum256([]byte(strings.Join(asks, " ")))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func isGeneral(a *onsale.CheckedAsk) bool { return len(a.In) == 1 && a.In[0].Kind == onsale.General }

// isBlock reports whether it is so many together of one reserved section.
func isBlock(a *onsale.CheckedAsk) bool {
	return len(a.In) == 1 && a.In[0].Kind == onsale.Reserved && a.Offsets == nil && !a.Split && a.Wheelchair == 0
}

func section(a *onsale.CheckedAsk) string { return strconv.Itoa(a.In[0].Index) }

func quantity(a *onsale.CheckedAsk) string { return strconv.Itoa(a.Quantity) }

func appendAsk(args []string, a *onsale.CheckedAsk) []string {
	if isGeneral(a) {
		return append(args, "general", section(a), quantity(a))
	}
	if a.Offsets != nil {
		args = append(args, "seats", section(a), flag(a.Accessible), strconv.Itoa(len(a.Offsets)))
		for _, offset := range a.Offsets {
			args = append(args, strconv.Itoa(offset))
		}
		return args
	}
	args = append(args, "best", quantity(a), strconv.Itoa(a.Wheelchair), flag(a.Split), strconv.Itoa(len(a.In)))
	for _, s := range a.In {
		args = append(args, strconv.Itoa(s.Index), strconv.Itoa(s.Start), strconv.Itoa(s.End))
	}
	return args
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
