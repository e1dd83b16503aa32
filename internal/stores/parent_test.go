package stores_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"onsale/internal/lifecycle"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

// parentVariable names the folder in which this test binary, run again, is a
// parent to be killed rather than a run of the tests.
const parentVariable = "ONSALE_TEST_PARENT"

func TestMain(m *testing.M) {
	if folder := os.Getenv(parentVariable); folder != "" {
		if err := beParent(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storestest.Main(m)
}

// running is what a parent tells of its servers.
type running struct {
	Redis, Postgres       string
	RedisPID, PostgresPID int
	Kafka                 []string
}

func redisIn(folder string) *stores.Redis {
	return stores.NewRedis(stores.RedisConfig{Folder: filepath.Join(folder, "redis"), AppendOnly: true})
}

func postgresIn(folder string) *stores.Postgres {
	return stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(folder, "postgres")})
}

// fastPostgresIn is for what doesn't ask whether anything survives.
func fastPostgresIn(folder string) *stores.Postgres {
	return stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(folder, "postgres"), Fast: true})
}

func kafkaIn(folder string) *stores.Kafka {
	return stores.NewKafka(stores.KafkaConfig{Folder: filepath.Join(folder, "kafka")})
}

// beParent starts everything, says where it is, and waits to be killed or for
// the end of its input.
func beParent(folder string) error {
	lock, err := stores.Lock(folder)
	if err != nil {
		return err
	}
	r, p, k := redisIn(folder), postgresIn(folder), kafkaIn(folder)
	all := lifecycle.Chain{Parts: []lifecycle.Part{r, p, k}}
	if err := all.Start(context.Background()); err != nil {
		return err
	}
	err = json.NewEncoder(os.Stdout).Encode(running{
		Redis: r.URL(), RedisPID: r.PID(), Postgres: p.URL(), PostgresPID: p.PID(), Kafka: k.Seeds(),
	})
	_, errInput := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, errInput, all.Stop(context.Background()), lock.Unlock())
}

// startParent runs a parent of servers in folder. kill ends it as kill -9 does
// and returns when it is gone; the test's end does so too.
func startParent(t *testing.T, folder string) (r running, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), parentVariable+"="+folder)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		_ = stdin.Close()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the parent did not start its servers: %v", err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return r, kill
}

// start starts a part that is stopped at the end of the test.
func start(t *testing.T, p lifecycle.Part) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// alive reports whether the process runs; one that nobody has waited for yet
// doesn't.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist) && !exists("/proc/self/stat")
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// patience is how long a test waits for what must come true.
const patience = 10 * time.Second

// eventually fails the test unless ok comes true within patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
