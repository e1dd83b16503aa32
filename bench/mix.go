package bench

import (
	"strconv"
	"strings"
)

// way is how a buyer asks for what they want.
type way string

const (
	asksPicked  way = "picked"  // seats that touch, picked on the map that the feed shows
	asksBest    way = "best"    // as many seats, the best that a section has together
	asksGeneral way = "general" // general admission
)

// Mix is how the crowd is parted by what they ask for: weights, whatever their sum. The
// zero value means the default. Who finds nothing of their own takes the other.
type Mix struct {
	Picked, Best, General float64
}

// defaultMix is the mix of those who don't say.
var defaultMix = Mix{Picked: 40, Best: 25, General: 35}

// ParseMix reads "picked=40,best=25,general=35", in any order; what is left away has no
// weight. Its error is a *ConfigError.
func ParseMix(text string) (Mix, error) {
	var m Mix
	weights := map[way]*float64{asksPicked: &m.Picked, asksBest: &m.Best, asksGeneral: &m.General}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		into := weights[way(name)]
		weight, err := strconv.ParseFloat(number, 64)
		if into == nil || err != nil {
			return m, wrong("mix: %q must be a weight of picked, best or general, as in picked=40,best=25,general=35", part)
		}
		delete(weights, way(name)) // once each
		*into = weight
	}
	return m, m.validate()
}

func (m Mix) validate() error {
	if sum := m.Picked + m.Best + m.General; !(m.Picked >= 0 && m.Best >= 0 && m.General >= 0 && sum > 0 && sum <= maxWeight) { // not a number is none of these
		return wrong("mix: the weights of picked, best and general must not be negative, and one of them must be above 0")
	}
	return nil
}

// maxWeight bounds the weights together, so that parts of them are still told apart.
const maxWeight = 1e9

// draw chooses a way for p, uniform in [0, 1).
func (m Mix) draw(p float64) way {
	p *= m.Picked + m.Best + m.General
	switch {
	case p < m.General:
		return asksGeneral
	case p < m.General+m.Best:
		return asksBest
	}
	return asksPicked
}
