package histogram

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

func TestBucketsAreCumulativeAndEndAtTheCount(t *testing.T) {
	set := metrics.NewSet()
	h := NewFamily(set, "onsale_test_seconds", "route").With("hold")
	for _, d := range []time.Duration{time.Microsecond, time.Millisecond, 2 * time.Millisecond, time.Minute} {
		h.Observe(d)
	}
	var out bytes.Buffer
	set.WritePrometheus(&out)
	for _, want := range []string{
		`onsale_test_seconds_bucket{route="hold",le="0.0005"} 1`,
		`onsale_test_seconds_bucket{route="hold",le="0.001"} 2`, // a bound is in its own bucket
		`onsale_test_seconds_bucket{route="hold",le="0.0025"} 3`,
		`onsale_test_seconds_bucket{route="hold",le="30"} 3`,
		`onsale_test_seconds_bucket{route="hold",le="+Inf"} 4`,
		`onsale_test_seconds_sum{route="hold"} 60.003001`,
		`onsale_test_seconds_count{route="hold"} 4`,
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("no line %s in\n%s", want, out.String())
		}
	}
}
