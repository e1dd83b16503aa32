package stores_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"onsale/internal/stores/storestest"
)

func TestLeftoverServerIsEndedBeforeTheNextStarts(t *testing.T) {
	folder := storestest.Folder(t)
	r, p := redisIn(folder), postgresIn(folder)
	start(t, r)
	start(t, p)
	query(t, p.URL(), "CREATE TABLE kept (x int)")
	leftovers := []int{r.PID(), p.PID()}

	again, pagain := redisIn(folder), postgresIn(folder)
	start(t, again)
	start(t, pagain)
	for _, pid := range leftovers {
		if alive(pid) {
			t.Errorf("process %d still runs in the folder of another server", pid)
		}
	}
	query(t, pagain.URL(), "SELECT * FROM kept")
	if err := redisDo(t, again.URL(), "PING"); err != nil {
		t.Error(err)
	}
}

func TestStrangerWithTheNumberOfALeftoverIsLeftAlone(t *testing.T) {
	folder := storestest.Folder(t)
	p := fastPostgresIn(folder)
	start(t, p) // makes the folders
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command("sleep", "60")
	stranger.Dir = t.TempDir()
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait() // it was killed
	})
	if err := os.MkdirAll(filepath.Join(folder, "redis"), 0o700); err != nil {
		t.Fatal(err)
	}
	number := strconv.Itoa(stranger.Process.Pid) + "\n"
	for _, name := range []string{"redis/redis.pid", "postgres/data/postmaster.pid"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(number), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start(t, redisIn(folder))
	start(t, fastPostgresIn(folder))
	if !alive(stranger.Process.Pid) {
		t.Fatal("a process that only has the number of an old server was ended")
	}
}

func TestHalfMadeClusterIsMadeAnew(t *testing.T) {
	folder := storestest.Folder(t)
	half := filepath.Join(folder, "postgres", "data.half")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(half), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := fastPostgresIn(folder)
	start(t, p)
	query(t, p.URL(), "SELECT 1")
}
