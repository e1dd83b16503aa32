package feed

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onsale/bench"
)

func TestMain(m *testing.M) {
	// fasthttp's clock for the Date header runs for as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

func TestATrendIsThatOfTheLaterHalf(t *testing.T) {
	t.Parallel()
	var levels, rises trend
	for i := range 20 {
		at := time.Duration(i) * time.Minute
		levels.add(at, 100+math.Min(float64(i), 5)*10)
		rises.add(at, 100+float64(i)*10)
	}
	if s, g := levels.slope(), levels.growth(); math.Abs(s) > 1e-9 || g != 1 {
		t.Errorf("what has found its level rises by %v a minute, to %v times", s, g)
	}
	if s, g := rises.slope(), rises.growth(); math.Abs(s-10) > 1e-9 || g <= 1 {
		t.Errorf("what rises by 10 a minute rises by %v, to %v times", s, g)
	}
	if s, g := (&trend{}).slope(), (&trend{}).growth(); s != 0 || g != 0 {
		t.Errorf("nothing rises by %v, to %v times", s, g)
	}
}

func TestAFleetHasRoomForWhomChanceGivesAProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ conns, procs, least int }{{100, 2, 2 * 86}, {150_000, 12, 12 * 14_200}, {2_000, 1, 2_200}} {
		if have := bench.RoomForFeeds(c.conns, c.procs); have < c.least || have%c.procs != 0 || have > 2*c.conns {
			t.Errorf("%d feeds in %d processes: room for %d, want %d", c.conns, c.procs, have, c.least)
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	for _, total := range []int{0, 1, 7, 150_000} {
		for _, n := range []int{1, 2, 17} {
			sum, least, most := 0, total, 0
			for i := range n {
				s := share(total, n, i)
				sum, least, most = sum+s, min(least, s), max(most, s)
			}
			if sum != total || most-least > 1 {
				t.Errorf("%d among %d: %d in all, from %d to %d", total, n, sum, least, most)
			}
		}
	}
}

func TestTimesOfManyProcessesAreOne(t *testing.T) {
	t.Parallel()
	all := newTimes()
	for process := range 4 {
		one := newTimes()
		for i := range 25 {
			one.note(int64(process*25+i+1) * int64(time.Millisecond))
		}
		encoded, err := one.encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := all.add(encoded); err != nil {
			t.Fatal(err)
		}
	}
	if err := all.add(nil); err != nil {
		t.Error(err)
	}
	if p := all.ms(99); math.Abs(p-99) > 0.2 {
		t.Errorf("99 of 100 took up to %v ms", p)
	}
	all.note(-5)
	all.note(math.MaxInt64)
	if all.TotalCount() != 102 {
		t.Errorf("%d were noted", all.TotalCount())
	}
}

func TestAWrongSettingIsNamed(t *testing.T) {
	t.Parallel()
	good := Config{Conns: 1000, Procs: 2, Rounds: 1, Lasting: time.Second, Rate: 10}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"conns": func(c *Config) { c.Conns = 1 }, "procs": func(c *Config) { c.Procs = -1 }, "rounds": func(c *Config) { c.Rounds = -1 },
		"lasting": func(c *Config) { c.Lasting = time.Millisecond }, "rate": func(c *Config) { c.Rate = -1 },
		"idle": func(c *Config) { c.Idle = -1 }, "churn": func(c *Config) { c.Churn = -1 },
	} {
		c := good
		spoil(&c)
		var wrong *bench.ConfigError
		if err := c.validate(); !errors.As(err, &wrong) || !bytes.HasPrefix([]byte(wrong.Text), []byte(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
