package bench

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
)

// What was found broken is told and decides the exit code, whatever becomes of the rest.

func TestWhatWasFoundIsNotLostWithARushThatCanNotBeChecked(t *testing.T) {
	t.Parallel()
	cfg := quick(newFake(t, breakage{grantsOtherSeats: true}), 20)
	sick := errors.New("still down")
	cfg.Heal = func(context.Context) error { return sick }
	report, err := Rush(t.Context(), cfg)
	var broken *onsale.AuditError
	if report != nil || !errors.Is(err, sick) || !errors.As(err, &broken) {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWhatAWorkerHasFoundIsNotLostWithIt(t *testing.T) {
	t.Parallel()
	cfg := stormy(t, quick(newFake(t, breakage{grantsOtherSeats: true}), 60), 2)
	cfg.Over = time.Minute // it dies long before the last one comes
	dying, die := context.WithCancel(t.Context())
	cfg.Progress = func(p Progress) {
		if p.Broken > 0 {
			die()
		}
	}
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- join(dying, cfg.Storm.Listen) }()
	}
	report, err := Rush(t.Context(), cfg)
	var broken *onsale.AuditError
	if report != nil || !errors.Is(err, errNoWorker) || !errors.As(err, &broken) {
		t.Errorf("%+v, %v", report, err)
	}
	for range 2 {
		<-ended //nolint:errcheck // it was killed
	}
}

func TestWhatTheFirstStormHasFoundIsNotLostWithTheSecond(t *testing.T) {
	t.Parallel()
	folder, gone := t.TempDir(), errors.New("the house has gone")
	json, html := filepath.Join(folder, "storms.json"), filepath.Join(folder, "storms.html")
	var out bytes.Buffer
	command := &cli.Command{Name: "storms", Writer: &out, ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Flags: []cli.Flag{&cli.StringFlag{Name: "json"}, &cli.StringFlag{Name: "html"}},
		Action: func(_ context.Context, c *cli.Command) error {
			return deliverStorms(c, scenarios, func(s scenario) (*Report, error) {
				if s.name == "spike" {
					return nil, gone
				}
				report := NewReport("rush", map[string]any{})
				report.Audit.Violations = []onsale.Violation{{Invariant: onsale.InvariantClaims, Subject: "stand A-1", Detail: "sold to two"}}
				return report, report.Err()
			})
		}}
	err := command.Run(t.Context(), []string{"storms", "--json", json, "--html", html})
	var broken *onsale.AuditError
	if !errors.Is(err, gone) || !errors.As(err, &broken) {
		t.Errorf("%v", err)
	}
	reports, err := ReadReports(json)
	if err != nil || len(reports) != 1 || len(reports[0].Audit.Violations) != 1 || !bytes.Contains(out.Bytes(), []byte("sold to two")) {
		t.Errorf("%v, %+v, %s", err, reports, &out)
	}
	if found, err := filepath.Glob(html); err != nil || len(found) != 1 {
		t.Errorf("no page: %v", err)
	}
}
