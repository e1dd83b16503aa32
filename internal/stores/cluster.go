package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// cluster is what Postgres calls the folder of a server's data, with what it
// takes to run it.
type cluster struct {
	folder   string // ours
	data     string // in folder, the account's
	account  *account
	binaries postgresBinaries
}

// prepare finds the cluster of the folder, or makes it.
func (p *Postgres) prepare(ctx context.Context) (*cluster, error) {
	folder, err := filepath.Abs(p.cfg.Folder)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	c := &cluster{folder: folder, data: filepath.Join(folder, postgresData)}
	if c.account, err = postgresAccount(); err != nil {
		return nil, err
	}
	if err := c.account.mayEnter(folder); err != nil {
		return nil, err
	}
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	if p.password, err = p.passwordIn(folder); err != nil {
		return nil, err
	}
	made, err := c.version()
	if err != nil {
		return nil, err
	}
	if c.binaries, err = findPostgres(ctx, p.cfg.Binaries, made); err != nil {
		return nil, err
	}
	if made != "" {
		return c, nil
	}
	if master := p.cfg.ReplicaOf; master != nil {
		return c, c.copyOf(ctx, master)
	}
	return c, c.make(ctx, p.password, p.cfg.Fast)
}

// version is the major version of PostgreSQL that made the cluster; "" if there
// is none yet.
func (c *cluster) version() (string, error) {
	text, err := os.ReadFile(filepath.Join(c.data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the data folder: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// make runs initdb. It works in a folder beside the final one, which it becomes
// when all is done: a folder that was left half made is never taken for whole.
func (c *cluster) make(ctx context.Context, password string, fast bool) error {
	half, err := c.half()
	if err != nil {
		return err
	}
	secret := filepath.Join(c.folder, "initdb.password")
	if err := c.give(secret, password+"\n"); err != nil {
		return err
	}
	defer func() { _ = os.Remove(secret) }() // else the next start does
	args := []string{
		"-D", half, "--username", postgresUser, "--pwfile", secret,
		// Other users of the machine reach loopback too, so nobody is trusted.
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
	}
	if fast {
		args = append(args, "--no-sync")
	}
	return c.fill(ctx, c.binaries.program("initdb"), half, args)
}

// half makes the folder that a cluster is made in. What an earlier attempt left there
// is cleared away.
func (c *cluster) half() (string, error) {
	half := c.data + ".half"
	if err := errors.Join(os.RemoveAll(half), os.Mkdir(half, 0o700), c.account.own(half)); err != nil {
		return "", fmt.Errorf("make the cluster's folder: %w", err)
	}
	return half, nil
}

// give writes a file that the account alone can read.
func (c *cluster) give(path, text string) error {
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(text), 0o600), c.account.own(path)); err != nil {
		return fmt.Errorf("make the cluster's secret: %w", err)
	}
	return nil
}

// fill has a program of Postgres's fill the half, and keeps it as the cluster.
func (c *cluster) fill(ctx context.Context, program, half string, args []string) error {
	child, err := command{
		path: program, args: args, folder: half,
		log: filepath.Join(c.folder, postgresLogName), account: c.account,
		orphan: syscall.SIGKILL, // what it made so far is of no use
	}.start(filepath.Base(program), nil)
	if err != nil {
		return err
	}
	if err := child.finish(ctx); err != nil {
		return err
	}
	if err := os.Rename(half, c.data); err != nil {
		return fmt.Errorf("keep the new cluster: %w", err)
	}
	return nil
}
