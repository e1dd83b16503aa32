package storestest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	folderPrefix = "onsale-test-"
	// staleAfter is how old a folder must be to be taken for one that a killed
	// test left: far longer than tests may run.
	staleAfter = time.Hour
)

// makeFolder makes a folder that other users may pass through, and on the way
// clears those away that killed tests have left.
func makeFolder(t testing.TB) string {
	t.Helper()
	sweep()
	folder, err := os.MkdirTemp("", folderPrefix)
	if err == nil {
		err = os.Chmod(folder, 0o711)
	}
	if err != nil {
		t.Fatalf("make a folder for the servers: %v", err)
	}
	return folder
}

// sweep removes old folders of ours. What can't be removed is someone else's.
func sweep() {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		panic(err) // a malformed pattern of ours
	}
	for _, folder := range old {
		if info, err := os.Stat(folder); err == nil && time.Since(info.ModTime()) > staleAfter {
			_ = os.RemoveAll(folder)
		}
	}
}
