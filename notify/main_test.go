package notify

import (
	"testing"

	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) { storestest.Main(m) }
