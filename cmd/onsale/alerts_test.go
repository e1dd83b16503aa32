package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"onsale/internal/stores/storestest"
)

// alertRules are Prometheus's rule files, as far as ours go: what else is in one is a mistake.
type alertRules struct {
	Groups []struct {
		Name  string      `yaml:"name"`
		Rules []alertRule `yaml:"rules"`
	} `yaml:"groups"`
}

type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

var (
	metricInRule = regexp.MustCompile(`(onsale_[a-z_]+)(?:\{([a-z_]+)=~?"([^"]*)"\})?`)
	groupedBy    = regexp.MustCompile(`\bby \(([a-z_, ]+)\)`)
	labelShown   = regexp.MustCompile(`\$labels\.([a-z_]+)`)
	ruleDuration = regexp.MustCompile(`^([0-9]+(ms|[smhdwy]))+$`)
)

func readRules(t *testing.T) []alertRule {
	t.Helper()
	text, err := os.ReadFile("../../deploy/alerts/onsale.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file alertRules
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 5 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

func TestAlertsAreRulesThatPrometheusTakes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range readRules(t) {
		if !regexp.MustCompile(`^Onsale[A-Za-z]+$`).MatchString(r.Alert) || seen[r.Alert] {
			t.Errorf("alert %q has no name of its own", r.Alert)
		}
		seen[r.Alert] = true
		if r.For != "" && !ruleDuration.MatchString(r.For) {
			t.Errorf("%s: for %q is no duration", r.Alert, r.For)
		}
		if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s: severity %q, summary %q", r.Alert, r.Labels["severity"], r.Annotations["summary"])
		}
		for _, pair := range []string{"()", "{}", "[]"} {
			if strings.Count(r.Expr, pair[:1]) != strings.Count(r.Expr, pair[1:]) {
				t.Errorf("%s: %s: %s don't match", r.Alert, r.Expr, pair)
			}
		}
		by := ""
		if m := groupedBy.FindStringSubmatch(r.Expr); m != nil {
			by = m[1]
		}
		for _, text := range r.Annotations {
			for _, m := range labelShown.FindAllStringSubmatch(text, -1) {
				if m[1] != by {
					t.Errorf("%s shows label %s, and its expression is by %q", r.Alert, m[1], by)
				}
			}
		}
	}
}

// What a rule asks for must be there from the start: of a counter that first shows as 1
// nobody sees that it rose.
func TestEachMetricOfAnAlertIsExportedFromTheStart(t *testing.T) {
	t.Parallel()
	demo := begin(t, "demo", "--port", "0", "--data", storestest.Folder(t), "--storm", "0")
	url := demo.until(t, `^serving (http://\S+)`)[1]
	demo.until(t, `still serving`)
	exported := metricsOf(t, url)
	found := 0
	for _, r := range readRules(t) {
		for _, m := range metricInRule.FindAllStringSubmatch(r.Expr, -1) {
			found++
			for _, value := range strings.Split(m[3], "|") {
				series := `(?m)^` + m[1] + `[ {]`
				if value != "" {
					series = `(?m)^` + m[1] + `\{` + m[2] + `="` + value + `"\} `
				}
				if !regexp.MustCompile(series).MatchString(exported) {
					t.Errorf("%s asks for %s, of which there is no series like %s", r.Alert, m[0], series)
				}
			}
			if by := groupedBy.FindStringSubmatch(r.Expr); by != nil && !regexp.MustCompile(`(?m)^`+m[1]+`\{[^}]*\b`+by[1]+`="`).MatchString(exported) {
				t.Errorf("%s groups %s by %s, which it hasn't got", r.Alert, m[1], by[1])
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d metrics are in the rules", found)
	}
}
