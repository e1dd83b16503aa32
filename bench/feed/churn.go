package feed

import (
	"context"
	"errors"
	"math"
	"time"
)

// churn has clients come and go, half of them without a word, and sees whether memory
// and open files stay flat.
func (r *run) churn(ctx context.Context) error {
	if r.cfg.Churn == 0 {
		return nil
	}
	if err := r.forget(ctx); err != nil {
		return err
	}
	var memory, files trend
	a := r.during(ctx, churnRate, func(ctx context.Context) error {
		_, err := r.crowds.ask(ctx, func(i int) task {
			ofAll := max(len(r.crowds), int(float64(r.cfg.Conns)/churnTime.Seconds()))
			return task{Do: doChurn, Count: share(ofAll, len(r.crowds), i)}
		})
		if err != nil {
			return err
		}
		began := time.Now()
		for look := range churnLooks {
			if err := pause(ctx, time.Until(began.Add(r.cfg.Churn*time.Duration(look+1)/churnLooks))); err != nil {
				return err
			}
			at := time.Since(began)
			memory.add(at, r.house.fleet.resident())
			files.add(at, r.house.fleet.files())
		}
		_, err = r.crowds.ask(ctx, func(int) task { return task{Do: doChurn} })
		return err
	})
	if err := errors.Join(a.fatal, ctx.Err()); err != nil {
		return err
	}
	s, err := r.taken(ctx)
	if err != nil {
		return err
	}
	r.figure("churned", float64(s.opened), "feeds")
	r.figure("churn_memory_slope", memory.slope(), "bytes a minute")
	r.figure("churn_files_slope", files.slope(), "files a minute")
	r.ratio("churn_memory", memory.growth())
	r.ratio("churn_files", files.growth())
	return nil
}

// trend is a quantity over time.
type trend struct{ minutes, values []float64 }

func (t *trend) add(at time.Duration, value float64) {
	t.minutes, t.values = append(t.minutes, at.Minutes()), append(t.values, value)
}

// second is the later half: what rises at the beginning only has found its level.
func (t *trend) second() (minutes, values []float64) {
	half := len(t.values) / 2
	return t.minutes[half:], t.values[half:]
}

// slope is how much the quantity rises a minute in the second half, by least squares; 0 of
// fewer than two values.
func (t *trend) slope() float64 {
	x, y := t.second()
	var mx, my, xy, xx float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(x))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

// growth is the mean of the last quarter over that of the one before it; 0 of fewer than four values.
func (t *trend) growth() float64 {
	_, late := t.second()
	if len(t.values) < 4 {
		return 0
	}
	half := len(late) / 2
	return mean(late[half:]) / mean(late[:half])
}

func mean(values []float64) (sum float64) {
	for _, v := range values {
		sum += v
	}
	return sum / math.Max(1, float64(len(values)))
}
