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

// holdArgs are hold.lua's arguments. The first, the hold's id, is left for whoever
// knows the epoch. The fingerprint is that of the asks, as they are written here.
func holdArgs(r Request) []string {
	args := make([]string, 0, 4+8*len(r.Asks))
	args = append(args, "", string(r.Buyer), keyless, strconv.Itoa(len(r.Asks)))
	for i := range r.Asks {
		args = appendAsk(args, &r.Asks[i])
	}
	if r.Key != "" {
		sum := sha256.Sum256([]byte(strings.Join(args[3:], " ")))
		args[2] = base64.RawURLEncoding.EncodeToString(sum[:9])
	}
	return args
}

func appendAsk(args []string, a *onsale.CheckedAsk) []string {
	if a.Offsets != nil {
		args = append(args, "seats", strconv.Itoa(a.In[0].Index), flag(a.Accessible), strconv.Itoa(len(a.Offsets)))
		for _, offset := range a.Offsets {
			args = append(args, strconv.Itoa(offset))
		}
		return args
	}
	args = append(args, "best", strconv.Itoa(a.Quantity), strconv.Itoa(a.Wheelchair), flag(a.Split), strconv.Itoa(len(a.In)))
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
