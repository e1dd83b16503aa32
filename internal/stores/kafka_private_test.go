package stores_test

import (
	"os"
	"path/filepath"
	"testing"

	"onsale/internal/stores/storestest"
)

func TestNobodyElseCanReadWhatKafkaKeeps(t *testing.T) {
	folder := storestest.Folder(t)
	at := filepath.Join(folder, "kafka")
	if err := os.Mkdir(at, 0o755); err != nil { // by an earlier version, or by hand
		t.Fatal(err)
	}
	k := kafkaIn(folder)
	start(t, k)
	info, err := os.Stat(at)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder is %v, %v", info.Mode(), err)
	}
}
