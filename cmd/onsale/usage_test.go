package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"onsale"
	"onsale/bench"
	"onsale/internal/stores/storestest"
	"onsale/persist"
)

func TestWrongUseIsOneLineAndExitsWith2(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	settings := filepath.Join(t.TempDir(), "onsale.yaml")
	writeFile(t, settings, "colour: red\n")
	url, _ := storestest.Redis(t)
	postgres := storestest.Postgres(t)
	if err := persist.Migrate(t.Context(), postgres); err != nil {
		t.Fatal(err)
	}
	for promise, test := range map[string]struct {
		args []string
		says string
	}{
		"an unknown flag":            {[]string{"serve", "--colour", "red"}, "--help"},
		"a flag of the wrong type":   {[]string{"demo", "--storm", "many"}, "storm"},
		"a storm below 0":            {[]string{"demo", "--storm", "-1"}, "--storm"},
		"a port that is none":        {[]string{"demo", "--port", "70000"}, "--port"},
		"a port in use":              {[]string{"demo", "--port", port}, "--port"},
		"an argument too many":       {[]string{"serve", "now"}, "--help"},
		"a secret too short":         {[]string{"serve", "--secret", "short"}, "--secret"},
		"a log level that is none":   {[]string{"serve", "--log-level", "loud"}, "--log-level"},
		"a setting that is none":     {[]string{"serve", "--config", settings}, "colour"},
		"a settings file that isn't": {[]string{"serve", "--config", settings + "x"}, "no such file"},
		"an unreachable Redis":       {[]string{"serve", "--listen", "127.0.0.1:0", "--redis", "redis://127.0.0.1:1/0"}, "--redis"},
		"a replica that is none":     {[]string{"serve", "--listen", "127.0.0.1:0", "--redis", url, "--redis-read", "nonsense"}, "--redis-read"},
		"a Redis URL that is none":   {[]string{"serve", "--listen", "127.0.0.1:0", "--redis", "nonsense"}, "redis"},
		"an unreachable Postgres":    {[]string{"serve", "--listen", "127.0.0.1:0", "--redis", url, "--postgres", "postgres://x@127.0.0.1:1/x"}, "Postgres"},
		"a Postgres URL that isn't":  {[]string{"migrate", "--postgres", "nonsense"}, "postgres://"},
		"an unknown command":         {[]string{"foo"}, `"foo"`},
		"an unknown event command":   {[]string{"event", "foo"}, `"foo"`},
		"an unknown bench":           {[]string{"bench", "foo"}, `"foo"`},
		"help of an unknown command": {[]string{"help", "foo"}, "foo"},
		"an unknown flag of a group": {[]string{"bench", "--colour"}, "--help"},
		"a port in use to serve on":  {[]string{"serve", "--listen", "127.0.0.1:" + port}, "--listen"},
		"a demo's settings file":     {[]string{"demo", "--config", settings + "x"}, "no such file"},
		"a demo's setting":           {[]string{"demo", "--config", settings}, "colour"},
		"a demo's secret":            {[]string{"demo", "--secret", "x"}, "--secret"},
		"a demo of no feeds":         {[]string{"demo", "--max-feeds", "0"}, "--max-feeds"},
		"a demo of no partitions":    {[]string{"demo", "--partitions", "0"}, "--partitions"},
		"the stores' settings file":  {[]string{"stores", "--config", settings + "x"}, "no such file"},
		"the stores' secret":         {[]string{"stores", "--secret", "x"}, "--secret"},
		"a provider that isn't":      {[]string{"settle", "--payment-provider", "paypal"}, "--payment-provider"},
		"a Stripe without its key":   {[]string{"serve", "--payment-provider", "stripe"}, "--stripe-key"},
		"a payment time-out of 5 s":  {[]string{"settle", "--payment-timeout", "5s"}, "--payment-timeout"},
		"no processes at all":        {[]string{"serve", "--procs", "0"}, "--procs"},
		"too many processes":         {[]string{"feed", "--procs", "65"}, "--procs"},
		"processes on a taken port":  {[]string{"serve", "--procs", "2", "--listen", "127.0.0.1:" + port}, "--listen"},
		"metrics on a taken port":    {[]string{"feed", "--procs", "2", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:" + port}, "--metrics-listen"},
		"metrics on no port":         {[]string{"feed", "--procs", "2", "--listen", "127.0.0.1:0", "--metrics-listen", "nowhere"}, "--metrics-listen"},
		"each's metrics of one":      {[]string{"serve", "--metrics-listen", "127.0.0.1:0"}, "--metrics-listen"},
		"feeds of less than one":     {[]string{"serve", "--procs", "3", "--max-feeds-per-ip", "2"}, "--max-feeds-per-ip"},
		"feeds at no effort":         {[]string{"feed", "--max-feed-effort", "0"}, "--max-feed-effort"},
		"feeds at all efforts":       {[]string{"serve", "--max-feed-effort", "101"}, "--max-feed-effort"},
		"feeds at no rate":           {[]string{"feed", "--max-feed-rate", "0"}, "--max-feed-rate"},
		"processes without a Redis":  {[]string{"serve", "--procs", "2", "--listen", "127.0.0.1:0", "--redis", "redis://127.0.0.1:1/0"}, "--redis"},
		"a prefix Kafka can't take":  {[]string{"stores", "--kafka-prefix", "a b"}, "--kafka-prefix"},
		"feeds an address below 0":   {[]string{"feed", "--max-feeds-per-ip", "-1"}, "--max-feeds-per-ip"},
		"an event without an id":     {[]string{"event", "open"}, "--help"},
		"a read replica that isn't":  {[]string{"serve", "--listen", "127.0.0.1:0", "--redis", url, "--postgres", postgres, "--postgres-read", "nonsense"}, "postgres-read"},
		"an order that isn't named":  {[]string{"order", "history"}, "--help"},
		"dead letters of no topic":   {[]string{"dlq", "list", "onsale.nothing"}, "onsale.charges"},
		"a letter that is no name":   {[]string{"dlq", "show", "onsale.charges"}, "TOPIC:PARTITION:OFFSET"},
		"a letter of no partition":   {[]string{"dlq", "show", "onsale.charges:x:1"}, "TOPIC:PARTITION:OFFSET"},
		"a letter below the first":   {[]string{"dlq", "replay", "onsale.charges:0:-1"}, "TOPIC:PARTITION:OFFSET"},
		"a replay of nothing":        {[]string{"dlq", "replay"}, "--all"},
		"a replay of two things":     {[]string{"dlq", "replay", "onsale.charges:0:1", "--all", "charges"}, "--all"},
		"two letters at once":        {[]string{"dlq", "show", "a", "b"}, "--help"},
		"letters of no Kafka":        {[]string{"dlq", "list", "--kafka", "127.0.0.1:1"}, "--kafka"},
		"a replay without Kafka":     {[]string{"dlq", "replay", "--all", "charges", "--kafka", "127.0.0.1:1"}, "--kafka"},
		"a backlog of nothing":       {[]string{"serve", "--max-backlog", "0"}, "--max-backlog"},
		"a backlog of no time":       {[]string{"serve", "--max-backlog-age", "0s"}, "--max-backlog-age"},
		"a backlog for ever":         {[]string{"serve", "--max-backlog-age", "48h"}, "--max-backlog-age"},
		"an order without an id":     {[]string{"order", "show"}, "--help"},
		"an order that is none":      {[]string{"order", "refund", "nonsense"}, "no order's id"},
		"a bench of nobody":          {[]string{"bench", "rush", "--users", "-1"}, "users"},
		"a peer of nobody":           {[]string{"bench", "peers", "--peer", "rows,ebay"}, "ebay"},
		"a peer twice":               {[]string{"bench", "peers", "--peer", "rows,rows"}, "rows"},
		"someone else's system":      {[]string{"bench", "peers", "--target", "http://192.0.2.1:80"}, "--yes-i-own-this"},
		"a system behind TLS":        {[]string{"bench", "peers", "--target", "https://127.0.0.1:1"}, "http://"},
		"an adapter of nothing":      {[]string{"bench", "peers", "--adapter", "soap"}, "--adapter"},
		"a settlement of nothing":    {[]string{"bench", "settle", "--orders", "-1"}, "orders"},
		"faults of no broker":        {[]string{"bench", "faults", "--kafka", "rabbit"}, "--kafka"},
	} {
		t.Run(promise, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := run(t, test.args...)
			if code != exitUsage || strings.Count(strings.TrimSpace(stderr), "\n") != 0 || !strings.Contains(stderr, test.says) {
				t.Errorf("exit %d, want %d and one line with %q:\n%s", code, exitUsage, test.says, stderr)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestASettingOfTheWrongTypeIsWrongUseWhereverItStands(t *testing.T) {
	t.Parallel()
	settings := filepath.Join(t.TempDir(), "onsale.yaml")
	writeFile(t, settings, "partitions: many\n")
	inFile := onsaleCommand(t.Context(), "serve", "--config", settings)
	inEnvironment := onsaleCommand(t.Context(), "serve")
	inEnvironment.Env = append(inEnvironment.Env, "ONSALE_PARTITIONS=many")
	for _, c := range []*exec.Cmd{inFile, inEnvironment} {
		text, _ := c.CombinedOutput() // how it ended is in ProcessState
		if code := c.ProcessState.ExitCode(); code != exitUsage || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), "partitions") {
			t.Errorf("exit %d\n%s", code, text)
		}
	}
}

func TestASettingsFileMayHaveWhatAnyRoleTakes(t *testing.T) {
	t.Parallel()
	names := fileSettings(command())
	for _, name := range []string{"redis", "kafka-prefix", "max-feeds-per-ip", "log-level", "ledger", "webhook-url", "port", "data", "front", "notify", "smtp", "payment-timeout"} {
		path := filepath.Join(t.TempDir(), "onsale.yaml")
		writeFile(t, path, name+": 7\n")
		s := &settings{file: path}
		if err := s.checkFile(command()); err != nil {
			t.Errorf("%v; known are %v", err, names)
		}
	}
}

func TestAnEmptyLineOfASettingsFileIsAnEmptySetting(t *testing.T) {
	t.Parallel()
	settings := filepath.Join(t.TempDir(), "onsale.yaml")
	writeFile(t, settings, "origins:\npartitions: 8\n")
	values, err := readSettings(settings)
	if err != nil || values["origins"] != "" || values["partitions"] != "8" {
		t.Errorf("%q, %v", values, err)
	}
	writeFile(t, settings, "origins: [a, b]\n")
	if _, err := readSettings(settings); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a list: %v", err)
	}
}

func TestOnlyABrokenInvariantExitsWith3(t *testing.T) {
	t.Parallel()
	child := exec.Command("/bin/sh", "-c", "exit 3").Run()
	if child == nil {
		t.Fatal("the child is well")
	}
	for code, errs := range map[int][]error{
		0:          {nil},
		exitFailed: {errors.New("x"), child, fmt.Errorf("the child: %w", child), exitCoded(exitBroken)},
		exitUsage:  {wrong("x"), cantStart(child), &bench.ConfigError{Text: "x"}, errors.Join(errors.New("y"), wrong("x"))},
		exitBroken: {&onsale.AuditError{Text: "x"}, errors.Join(child, &onsale.AuditError{Text: "x"})},
	} {
		for _, err := range errs {
			if got := exitCode(err); got != code {
				t.Errorf("%v exits with %d, want %d", err, got, code)
			}
		}
	}
}

// exitCoded is a library's error with an exit code of its own.
type exitCoded int

func (exitCoded) Error() string   { return "coded" }
func (e exitCoded) ExitCode() int { return int(e) }

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"demo"}, {"serve"}, {"feed"}, {"settle"}, {"migrate"}, {"event"}, {"event", "audit"}, {"bench"},
		{"bench", "rush"}, {"event", "create"}, {"stores"}, {"paysim"}, {"version"}, {"notify"}, {"notify", "run"}, {"notify", "replay"}} {
		code, stdout, stderr := run(t, append(args, "--help")...)
		if code != 0 || !strings.Contains(stdout, "USAGE") || stderr != "" {
			t.Errorf("%v --help: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

func TestNothingAskedIsHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"event"}, {"help", "event"}, {"bench"}, {"--version"}} {
		if code, stdout, stderr := run(t, args...); code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%v: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

func TestFeedsLeaveRoomForThoseWhoBuy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		files  uint64
		wanted int
		doors  doors
	}{
		{20_000, 15_000, doors{14_616, 4_872}},
		{20_000, 0, doors{0, 19_488}},
		{1 << 20, 15_000, doors{15_000, mostOthers}},
		{1_024, 15_000, doors{384, 128}},
		{256, 15_000, doors{96, 32}},
		{1<<64 - 1, 15_000, doors{15_000, mostOthers}}, // no limit
	} {
		if got := doorsFor(test.files, test.wanted, roles{front: true, feed: true}); got != test.doors {
			t.Errorf("%d files, %d feeds wanted: %+v, want %+v", test.files, test.wanted, got, test.doors)
		}
	}
}

func TestAsManyProcessesAreProposedAsItTakes(t *testing.T) {
	t.Parallel()
	front, feed := roles{front: true, feed: true}, roles{feed: true}
	for _, test := range []struct {
		files  uint64
		feeds  int
		role   roles
		wanted int
	}{
		{20_000, 15_000, feed, 1},
		{20_000, 18_879, feed, 1},
		{20_000, 18_880, feed, 2},
		{20_000, 150_000, feed, 9},
		{20_000, 150_000, front, 11},
		{1 << 20, 150_000, front, 1},
		{256, 150_000, feed, mostProcesses},
	} {
		if got := processesFor(test.files, test.feeds, test.role); got != test.wanted {
			t.Errorf("%d feeds at %d files: %d processes, want %d", test.feeds, test.files, got, test.wanted)
		}
	}
	if got := doorsFor(20_000, 18_750, feed); got.feeds != 18_750 || got.others < 600 {
		t.Errorf("an eighth of 150,000 feeds at 20,000 files: %+v", got)
	}
}
