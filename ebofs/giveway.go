package ebofs

import "time"

// giveWay is how a defragmentation in the background leaves the device to others: its
// steps are small, and the next waits until others have written politeShare times what
// was moved, or nobody does anything. Somebody who does little has politeLeast a second
// moved beside him.
type giveWay struct {
	s    *Store
	txns int64 // of the store, when nobody was asked last
}

const (
	politeStep  = 8 << 20
	politeShare = 16
	politeLeast = 4 << 20
	politeQuiet = 3 // pauses in a row without anybody
)

// nobody reports that no transaction came since it was asked last, and none is under
// way: who waits for a slow device has not gone.
func (g *giveWay) nobody() bool {
	now := g.s.metrics.Transactions.Load()
	same := now == g.txns
	g.txns = now
	return same && g.s.inflight.Load() == 0 && g.s.waiters.Load() == 0 && g.s.wal.Idle()
}

// after waits, with wait for defragPause at a time, for what others are due when so many
// bytes were moved: once at least, unless nobody is there.
func (g *giveWay) after(moved uint64, wait func() error) error {
	if g.nobody() {
		return nil
	}
	const least = politeLeast * uint64(defragPause) / uint64(time.Second)
	last, credit := g.s.metrics.UserBytes.Load(), uint64(0)
	for quiet := 0; quiet < politeQuiet; {
		if err := wait(); err != nil {
			return err
		}
		now := g.s.metrics.UserBytes.Load()
		if credit += max(uint64(now-last)/politeShare, least); credit >= moved {
			return nil
		}
		last = now
		if quiet++; !g.nobody() {
			quiet = 0
		}
	}
	return nil
}
