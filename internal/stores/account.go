package stores

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is whom Postgres runs as when we are root, which it refuses to be.
// The nil account is ours.
type account struct {
	name     string
	uid, gid uint32
}

// postgresAccount is nil unless we are root; else `postgres` if the system has
// it, else `nobody`.
func postgresAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("look up user %s: %w", name, err)
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("Postgres refuses to run as root, and there is no user postgres or nobody: run as another user")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives the file or folder to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, a.name, err)
	}
	return nil
}

// mayEnter returns an error that says what to do unless the account may pass
// through folder and all that are above it. Those that don't exist yet will be
// made so that it may.
func (a *account) mayEnter(folder string) error {
	if a == nil {
		return nil
	}
	for at := folder; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("look at the data folder: %w", err)
		}
		if err == nil && !a.maySearch(info) {
			return fmt.Errorf("as root, Postgres runs as user %s, who may not enter %s (%s): choose a data folder elsewhere, such as %s",
				a.name, at, info.Mode().Perm(), rootFolder)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func (a *account) maySearch(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case ok && owner.Uid == a.uid:
		return mode&0o100 != 0
	case ok && owner.Gid == a.gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
