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
	if p.password, err = password(folder); err != nil {
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
	half, secret := c.data+".half", filepath.Join(c.folder, "initdb.password")
	for _, path := range []string{half, secret} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("clear away what initdb left: %w", err)
		}
	}
	defer func() { _ = os.Remove(secret) }() // else the next start does
	err := errors.Join(
		os.Mkdir(half, 0o700), c.account.own(half),
		os.WriteFile(secret, []byte(password+"\n"), 0o600), c.account.own(secret))
	if err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	args := []string{
		"-D", half, "--username", postgresUser, "--pwfile", secret,
		// Other users of the machine reach loopback too, so nobody is trusted.
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
	}
	if fast {
		args = append(args, "--no-sync")
	}
	if err := c.initdb(ctx, half, args); err != nil {
		return err
	}
	if err := os.Rename(half, c.data); err != nil {
		return fmt.Errorf("keep the new cluster: %w", err)
	}
	return nil
}

func (c *cluster) initdb(ctx context.Context, folder string, args []string) error {
	child, err := command{
		path: c.binaries.program("initdb"), args: args, folder: folder,
		log: filepath.Join(c.folder, postgresLogName), account: c.account,
		orphan: syscall.SIGKILL, // what it made so far is of no use
	}.start("initdb", nil)
	if err != nil {
		return err
	}
	return child.finish(ctx)
}
