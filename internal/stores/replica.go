package stores

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// passwordIn is the password of the server's user: a replica's is its master's.
func (p *Postgres) passwordIn(folder string) (string, error) {
	master := p.cfg.ReplicaOf
	if master == nil {
		return password(folder)
	}
	master.mu.Lock()
	defer master.mu.Unlock()
	return master.password, nil
}

// baseBackup finds pg_basebackup. Packagers may have put it among the client's programs.
func (b postgresBinaries) baseBackup() (string, error) {
	for _, at := range []string{b.program("pg_basebackup"), "pg_basebackup"} {
		if path, err := exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	return "", errors.New("pg_basebackup is not installed: it comes with PostgreSQL's client programs")
}

// copyOf makes the cluster a copy of a running master's, which follows that master
// from then on. The password is in a file beside it, so that no list of processes
// shows it.
func (c *cluster) copyOf(ctx context.Context, master *Postgres) error {
	master.mu.Lock()
	port, secret := master.port, master.password
	master.mu.Unlock()
	half, err := c.half()
	if err != nil {
		return err
	}
	passwords := filepath.Join(c.folder, "master.pgpass")
	if err := c.give(passwords, "*:*:*:*:"+secret+"\n"); err != nil {
		return err
	}
	conninfo := fmt.Sprintf("host=%s port=%s user=%s passfile='%s' sslmode=disable", loopback, strconv.Itoa(port), postgresUser, passwords)
	program, err := c.binaries.baseBackup()
	if err != nil {
		return err
	}
	return c.fill(ctx, program, half, []string{
		"-D", half, "-d", conninfo, "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync",
	})
}
