package stores

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Who keeps env.sh to themselves by "umask 077" doesn't keep Postgres out of its data. It is not
// parallel: the umask is all tests'.
func TestFoldersCanBeEnteredWhateverTheUmask(t *testing.T) {
	want := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		want = 0o711
	}
	folder := filepath.Join(t.TempDir(), "made", "with", "those above")
	umask := syscall.Umask(0o077)
	defer syscall.Umask(umask)
	if err := makeFolder(folder); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{folder, filepath.Dir(folder), filepath.Dir(filepath.Dir(folder))} {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", at, info.Mode(), err, want)
		}
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(folder); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a folder that was there: %v, %v", info.Mode(), err)
	}
}

func TestAFileWhereAFolderIsToBeIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{file, filepath.Join(file, "below")} {
		if err := makeFolder(folder); err == nil {
			t.Errorf("made %s", folder)
		}
	}
}
