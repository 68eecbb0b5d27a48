package mon

import (
	"errors"
	"time"
)

// statsEvery is the least time between two looks at what follows from statistics:
// each sums all PGs.
const statsEvery = 500 * time.Millisecond

// statsChanged has somebody look at what follows from statistics.
func (m *Monitor) statsChanged() {
	select {
	case m.statsKick <- struct{}{}:
	default: // somebody will, anyway
	}
}

// followStats does what statistics ask for, as soon as they change but not too
// often.
func (m *Monitor) followStats() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.statsKick:
		}
		if err := errors.Join(m.checkQuotas(m.ctx), m.publishPurged(m.ctx)); err != nil && m.ctx.Err() == nil {
			m.log.Warn("what follows from statistics is not stored", "err", err)
		}
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(statsEvery):
		}
	}
}
