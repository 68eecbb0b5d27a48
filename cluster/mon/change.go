package mon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
)

// Change is what is to become of a State.
type Change struct {
	State *State
	Now   ceph.Time

	inc    *osdmap.Incremental
	crush  *crush.Map
	put    map[string][]byte
	delete map[string]bool
	log    []msg.LogEntry
}

// tries bounds how often a change is made again because others were quicker.
const tries = 100

// change makes a change until it is in, and returns the State that has it. What
// make returns as error ends it; nothing has happened then.
func (m *Monitor) change(ctx context.Context, make func(*Change) error) (*State, error) {
	for range tries {
		st := m.State()
		c := &Change{State: st, Now: ceph.MakeTime(m.cfg.Now()), put: map[string][]byte{}, delete: map[string]bool{}}
		if err := make(c); err != nil {
			return st, err
		}
		txn, err := c.txn()
		if err != nil {
			return st, err
		}
		if len(txn.Put)+len(txn.Delete) == 0 {
			return st, nil
		}
		rev, err := m.cfg.Quorum.Commit(ctx, txn)
		switch {
		case errors.Is(err, quorum.ErrConflict):
			if err := m.waitRev(ctx, st.Rev+1); err != nil {
				return st, err
			}
			continue
		case err != nil:
			return st, err
		}
		err = m.waitRev(ctx, rev)
		return m.State(), err
	}
	return m.State(), fmt.Errorf("others change the same %d times in a row: %w", tries, ceph.EAGAIN)
}

// Inc returns the increment of the OSD map that the change makes.
func (c *Change) Inc() *osdmap.Incremental {
	if c.inc == nil {
		c.inc = osdmap.NewIncremental(c.State.OSD, c.Now)
	}
	return c.inc
}

// Crush changes the CRUSH map.
func (c *Change) Crush(edit func(*crush.Editor) error) error {
	if c.crush == nil {
		m, err := crush.Decode(c.State.OSD.Crush)
		if err != nil {
			return err
		}
		c.crush = m
	}
	return c.crush.Edit(edit)
}

// CrushMap returns the CRUSH map as the change has made it so far.
func (c *Change) CrushMap() (*crush.Map, error) {
	if c.crush != nil {
		return c.crush, nil
	}
	return crush.Decode(c.State.OSD.Crush)
}

// Pool returns a copy of a pool to be changed: what the change has made of it.
func (c *Change) Pool(id ceph.PoolID) *osdmap.Pool {
	if p := c.Inc().Pools[id]; p != nil {
		return p
	}
	p := *c.State.OSD.Pools[id]
	p.Applications = maps.Clone(p.Applications)
	p.Snaps = maps.Clone(p.Snaps)
	p.Options = slices.Clone(p.Options)
	p.LastChange = c.Inc().Epoch
	if c.Inc().Pools == nil {
		c.Inc().Pools = map[ceph.PoolID]*osdmap.Pool{}
	}
	c.Inc().Pools[id] = &p
	return &p
}

// Put sets a key of the quorum, Delete removes one.
func (c *Change) Put(key string, value []byte) {
	delete(c.delete, key)
	c.put[key] = value
}

// Delete removes a key.
func (c *Change) Delete(key string) {
	delete(c.put, key)
	c.delete[key] = true
}

// any reports whether the change changes anything but the log.
func (c *Change) any() bool {
	gone := false
	for k := range c.delete {
		gone = gone || c.State.revs[k] != 0
	}
	return c.inc != nil || c.crush != nil || len(c.put) > 0 || gone
}

// Log adds a line to the cluster's log.
func (c *Change) Log(l msg.LogEntry) { c.log = append(c.log, l) }

// txn returns the transaction that is the change.
func (c *Change) txn() (quorum.Txn, error) {
	if err := c.nextMap(); err != nil {
		return quorum.Txn{}, err
	}
	if len(c.log) > 0 {
		c.nextLog()
	}
	var t quorum.Txn
	for _, k := range slices.Sorted(maps.Keys(c.put)) {
		t.If = append(t.If, quorum.Cond{Key: k, Rev: c.State.revs[k]})
		t.Put = append(t.Put, quorum.KV{Key: k, Value: c.put[k]})
	}
	for _, k := range slices.Sorted(maps.Keys(c.delete)) {
		if c.State.revs[k] != 0 {
			t.If = append(t.If, quorum.Cond{Key: k, Rev: c.State.revs[k]})
			t.Delete = append(t.Delete, k)
		}
	}
	return t, nil
}

// nextMap enters the next OSD map, and forgets what is too old.
func (c *Change) nextMap() error {
	if c.crush != nil {
		p, err := c.crush.Encode()
		if err != nil {
			return err
		}
		c.Inc().Crush = p
	}
	if c.inc == nil {
		return nil
	}
	if err := c.markPools(); err != nil {
		return fmt.Errorf("full pools: %w", err)
	}
	next, err := c.State.OSD.Next(c.inc)
	if err != nil {
		return fmt.Errorf("next osd map: %w", err)
	}
	full := next.Encode()
	c.inc.FullChecksum = next.Checksum()
	e := c.inc.Epoch
	c.Put(epochKey(prefixInc, e), c.inc.Encode())
	c.Put(epochKey(prefixFull, e), full)
	c.Put(keyEpoch, number(uint64(e)))
	c.trim(e)
	return nil
}

// trim forgets what maps the new epoch e makes needless. Of full maps there are the
// newest and one in every fullEvery epochs, from which increments lead to those
// between; increments go back keptEpochs, and go fullEvery at a time.
func (c *Change) trim(e ceph.Epoch) {
	if before := e - 1; before > 1 && before%fullEvery != 0 {
		c.Delete(epochKey(prefixFull, before))
	}
	if e%fullEvery != 0 || e < keptEpochs+fullEvery {
		return
	}
	last := e - keptEpochs // its full map stays
	for old := last - fullEvery + 1; old <= last; old++ {
		c.Delete(epochKey(prefixInc, old))
		if old != last {
			c.Delete(epochKey(prefixFull, old))
		}
	}
	c.Delete(epochKey(prefixFull, last-fullEvery))
}

func (c *Change) nextLog() {
	n := c.State.logFirst + uint64(len(c.State.Log))
	for i, l := range c.log {
		var e denc.Encoder
		l.Seq = n + uint64(i)
		l.Encode(&e)
		c.Put(logKey(l.Seq), e.Bytes())
		if l.Seq >= keptLog {
			c.Delete(logKey(l.Seq - keptLog))
		}
	}
	c.Put(keyLog, number(n+uint64(len(c.log))-1))
}

// waitRev waits until the State is of revision rev or newer.
func (m *Monitor) waitRev(ctx context.Context, rev int64) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		m.mu.Lock()
		have, changed, failed := m.mu.state.Rev, m.mu.changed, m.mu.failed
		m.mu.Unlock()
		switch {
		case have >= rev:
			return nil
		case failed != nil:
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("revision %d, at %d: %w", rev, have, ctx.Err())
		}
	}
}
