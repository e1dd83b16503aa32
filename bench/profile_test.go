package bench

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyProfile draws a profile, a file's too.
func anyProfile(t *rapid.T) Profile {
	name := rapid.SampledFrom([]string{"", ProfilePoisson, ProfileSpike, ProfileRamp, ProfileWave, "a.csv"}).Draw(t, "profile")
	p := Profile{Name: name}
	if name == "a.csv" {
		p.Counts = rapid.SliceOfN(rapid.Int64Range(0, 50), 1, 20).Draw(t, "counts")
		p.Counts[len(p.Counts)-1]++
	}
	return p
}

func TestEveryProfileBringsAllInOrderWithinItsTimeAndTheSameAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile(t)
		n, seed := rapid.IntRange(0, 500).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")
		over := p.lasts(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "over")))
		at := p.arrivals(n, over, seed)
		if len(at) != n || !slices.IsSorted(at) {
			t.Fatalf("%d arrive of %d, in order: %v", len(at), n, slices.IsSorted(at))
		}
		if n > 0 && (at[0] < 0 || at[n-1] > 0 && at[n-1] >= over) {
			t.Fatalf("from %v to %v, within %v", at[0], at[n-1], over)
		}
		if !slices.Equal(at, p.arrivals(n, over, seed)) {
			t.Fatal("the same seed gives other arrivals")
		}
		if n > 50 && over > time.Second && slices.Equal(at, p.arrivals(n, over, seed+1)) {
			t.Fatal("another seed gives the same arrivals")
		}
	})
}

func TestAFileOfArrivalsIsFollowedSecondBySecond(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Profile{Name: "a.csv", Counts: rapid.SliceOfN(rapid.Int64Range(0, 50), 1, 20).Draw(t, "counts")}
		p.Counts[0]++
		n := rapid.SampledFrom([]int{p.users(), 2 * p.users(), 777}).Draw(t, "n")
		got := make([]float64, len(p.Counts))
		for _, at := range p.arrivals(n, p.lasts(0), 1) {
			got[at/time.Second]++
		}
		for second, count := range p.Counts {
			want := float64(count) * float64(n) / float64(p.users())
			if math.Abs(got[second]-want) > 1 || n == p.users() && got[second] != want {
				t.Fatalf("%v arrive in second %d, want %v", got[second], second, want)
			}
		}
	})
}

// What each profile promises of the part of the crowd that has come by a part of its time,
// within five standard deviations.
func TestProfilesRiseAndFallAsTheySay(t *testing.T) {
	t.Parallel()
	const n, over = 20_000, 40 * time.Second
	for _, test := range []struct {
		profile string
		by      time.Duration
		want    float64
	}{
		{ProfilePoisson, over / 4, 0.25},
		{ProfileSpike, spikeTime / 2, 0.5}, {ProfileSpike, spikeTime, 1},
		{ProfileRamp, over / 2, 0.25}, {ProfileRamp, over * 9 / 10, 0.81},
		{ProfileWave, over / 4, 0.25}, {ProfileWave, over * 3 / 4, 0.75}, // the waves are equal
		{ProfileWave, over / 8, 0.125}, {ProfileWave, over / 16, 0.03125}, // half of one has come by its middle, an eighth by its first quarter
	} {
		p, err := ParseProfile(test.profile)
		if err != nil {
			t.Fatal(err)
		}
		come := 0
		for _, at := range p.arrivals(n, p.lasts(over), 7) {
			if at < test.by {
				come++
			}
		}
		if got := float64(come) / n; math.Abs(got-test.want) > 5*math.Sqrt(test.want*(1-test.want)/n) {
			t.Errorf("%s: %.4f have come by %v, want %.4f", test.profile, got, test.by, test.want)
		}
	}
}

func TestAProfileIsReadFromAFileAndSaysWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"second,arrivals\n0,5\n3,7\n": []int64{5, 0, 0, 7},
		"# last year\n1, 2\n":         []int64{0, 2},
		"0,0\n":                       "nobody",
		"":                            "nobody",
		"0,5\n0,5\n":                  "line 2",
		"2,5\n1,5\n":                  "line 2",
		"0,-1\n":                      "line 1",
		"0,many\n":                    "line 1",
		"0\n":                         "line 1",
		"99999,1\n":                   "line 1",
		"0,1000000\n":                 "line 1",
	} {
		path := filepath.Join(t.TempDir(), "crowd.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := ParseProfile(path)
		if counts, ok := want.([]int64); ok {
			if err != nil || !slices.Equal(p.Counts, counts) || p.Name != "crowd.csv" {
				t.Errorf("%q is %+v, %v", text, p, err)
			}
			continue
		}
		var bad *ConfigError
		if !errors.As(err, &bad) || !strings.Contains(bad.Text, want.(string)) && text != "" {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, name := range []string{"rush", "gone.csv"} {
		var bad *ConfigError
		if _, err := ParseProfile(name); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMixIsReadAndDrawnAsItSays(t *testing.T) {
	t.Parallel()
	m, err := ParseMix("general=1, picked=3")
	if err != nil || m != (Mix{Picked: 3, General: 1}) {
		t.Fatalf("%+v, %v", m, err)
	}
	got := map[way]int{}
	for i := range 1000 {
		got[m.draw(float64(i)/1000)]++
	}
	if got[asksGeneral] != 250 || got[asksPicked] != 750 {
		t.Errorf("%v", got)
	}
	for _, text := range []string{"", "picked", "picked=0", "picked=-1,best=2", "picked=NaN", "picked=1,picked=2", "seats=1", "best=Inf"} {
		var bad *ConfigError
		if m, err := ParseMix(text); !errors.As(err, &bad) {
			t.Errorf("%q is %+v, %v", text, m, err)
		}
	}
}
