// Package contest lets contestants do their work in turns and compares them.
//
// A machine's speed changes from second to second, so a figure alone says little.
// Here each round lets everyone work once, one after the other, and a ratio is taken
// within a round, between neighbours; what is reported is the median of the rounds.
package contest

import (
	"context"
	"fmt"
	"slices"
)

// Contestant does one piece of work a round.
type Contestant struct {
	Name string
	// Work does the round's work and returns its figure, such as answers a second.
	// Round 0 warms up and doesn't count.
	Work func(ctx context.Context, round int) (figure float64, err error)
}

// Figures are what each contestant reached in each round, by name.
type Figures map[string][]float64

// Run lets the contestants work in turns for so many rounds, after one that doesn't
// count. Every other round goes in the opposite order, so that nobody always works
// in the same one's wake. tell, if not nil, hears each figure.
func Run(ctx context.Context, rounds int, contestants []Contestant, tell func(round int, name string, figure float64)) (Figures, error) {
	figures := Figures{}
	for round := range rounds + 1 {
		order := slices.Clone(contestants)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			figure, err := c.Work(ctx, round)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", c.Name, round, err)
			}
			if round == 0 {
				continue
			}
			figures[c.Name] = append(figures[c.Name], figure)
			if tell != nil {
				tell(round, c.Name, figure)
			}
		}
	}
	return figures, nil
}

// Median is the contestant's median figure; 0 if it has none.
func (f Figures) Median(name string) float64 { return Median(f[name]) }

// Ratio is the median, over the rounds, of one contestant's figure over another's.
func (f Figures) Ratio(name, over string) float64 { return Median(f.Ratios(name, over)) }

// Ratios are one contestant's figure over another's in each round; those over nothing are left out.
func (f Figures) Ratios(name, over string) []float64 {
	ratios := make([]float64, 0, len(f[name]))
	for i, figure := range f[name] {
		if i < len(f[over]) && f[over][i] > 0 {
			ratios = append(ratios, figure/f[over][i])
		}
	}
	return ratios
}

// Median is the middle one of some values, or the mean of the two in the middle; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
