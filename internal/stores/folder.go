package stores

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// rootFolder is root's default: root's own cache folder can't be entered by
	// the user that Postgres then runs as.
	rootFolder = "/var/lib/onsale"

	folderName   = "onsale"
	lockName     = "lock"
	passwordName = "password"
)

// DefaultFolder is the data folder for who doesn't name one: `onsale` in the
// user's cache folder, or /var/lib/onsale for root where Postgres's user can't
// enter that. It makes nothing.
func DefaultFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil && os.Geteuid() != 0 {
		return "", fmt.Errorf("there is no cache folder for this user (%w): choose a data folder with --data", err)
	}
	folder := filepath.Join(cache, folderName)
	a, errAccount := postgresAccount()
	if err != nil || errAccount != nil || a.mayEnter(folder) != nil {
		return rootFolder, nil
	}
	return folder, nil
}

// FolderLock is the right to run servers in a data folder.
type FolderLock struct{ file *os.File }

// Lock makes the data folder if need be and takes it for this process. If
// another process has it, the error names that process in one line. The lock
// ends with the process, kill -9 included.
func Lock(folder string) (*FolderLock, error) {
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(folder, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }() // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the data folder %s: %w", folder, err)
		}
		holder := make([]byte, 20)
		n, _ := f.Read(holder) // who has it is only told if it is known
		return nil, fmt.Errorf("another onsale (process %s) uses the data folder %s: stop it, or choose another folder with --data",
			strings.TrimSpace(string(holder[:n])), folder)
	}
	l := &FolderLock{file: f}
	if err := l.sign(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return l, nil
}

// sign writes our number into the lock for whom it keeps out.
func (l *FolderLock) sign() error {
	err := l.file.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(l.file, "%d\n", os.Getpid())
	}
	if err != nil {
		return fmt.Errorf("sign the lock of the data folder: %w", err)
	}
	return nil
}

// Unlock gives the folder free. Twice is fine.
func (l *FolderLock) Unlock() error {
	// Closing ends the lock; the file stays, or two processes could lock two files.
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("unlock the data folder: %w", err)
	}
	return nil
}

// makeFolder makes a folder of ours, with those above it. Others may pass through it, to
// what they own in it, if we are root, whatever the umask; its files are 0600 and its
// folders 0700 or like it.
func makeFolder(folder string) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := makeEach(folder, mode); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// makeEach makes a folder and those above it that are missing, and gives each of these the mode.
func makeEach(folder string, mode os.FileMode) error {
	err := os.Mkdir(folder, mode)
	if errors.Is(err, os.ErrNotExist) {
		if err = makeEach(filepath.Dir(folder), mode); err == nil {
			err = os.Mkdir(folder, mode)
		}
	}
	switch {
	case err == nil:
		return os.Chmod(folder, mode) // which the umask has no say in
	case errors.Is(err, os.ErrExist):
		return os.MkdirAll(folder, mode) // says so if it is no folder
	}
	return err
}

// password returns the one that the server in folder asks for. It is made once
// and kept in a file that only we can read: other users of the machine can reach
// loopback too.
func password(folder string) (string, error) {
	path := filepath.Join(folder, passwordName)
	if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
		return string(text), nil
	}
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails
	word := hex.EncodeToString(secret)
	if err := os.WriteFile(path, []byte(word), 0o600); err != nil {
		return "", fmt.Errorf("keep a password: %w", err)
	}
	return word, nil
}
