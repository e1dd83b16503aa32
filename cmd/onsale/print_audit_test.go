package main

import (
	"strings"
	"testing"

	"onsale"
)

func TestAnAuditSaysThatAllHoldsOnlyIfItHasLookedAtAll(t *testing.T) {
	t.Parallel()
	const allWell = "every invariant holds"
	unseen := []onsale.Unchecked{{Invariant: onsale.InvariantFeed, Reason: "no feed"}, {Invariant: onsale.InvariantCounts, Reason: "no stock"}}
	broken := []onsale.Violation{{Invariant: onsale.InvariantKeys, Subject: "order x", Detail: "twice"}}
	for name, c := range map[string]struct {
		report    onsale.AuditReport
		says      []string
		saysAllIs bool
	}{
		"all well":            {onsale.AuditReport{}, nil, true},
		"not all looked at":   {onsale.AuditReport{Unchecked: unseen}, []string{"not everything", "\nnot checked: invariant 7: no feed\n", "\nnot checked: invariant 1: no stock\n"}, false},
		"broken":              {onsale.AuditReport{Violations: broken}, []string{"1 VIOLATIONS"}, false},
		"broken, and not all": {onsale.AuditReport{Violations: broken, Unchecked: unseen}, []string{"1 VIOLATIONS", "not checked: invariant 7"}, false},
	} {
		var out strings.Builder
		if err := printAudit(&out, &c.report); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), allWell) != c.saysAllIs {
			t.Errorf("%s:\n%s", name, out.String())
		}
		for _, part := range c.says {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: no %q in\n%s", name, part, out.String())
			}
		}
	}
}
