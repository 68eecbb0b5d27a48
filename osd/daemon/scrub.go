package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/internal/asok"
	"ebofs/osd/pg"
)

// ScrubConfig says when PGs are scrubbed by themselves, and how fast.
type ScrubConfig struct {
	// Every is how often a PG is scrubbed, DeepEvery how often all of it is read.
	// Default a day and a week (osd_scrub_min_interval, osd_deep_scrub_interval);
	// up to half as much is added, so that PGs do not come all at once.
	Every, DeepEvery time.Duration
	// BytesPerSecond bounds what is read for it. Default 64 MiB/s: a disk of one TB
	// takes half a day, and clients notice little.
	BytesPerSecond int64
}

func (c *ScrubConfig) fill() {
	c.Every = cmp.Or(c.Every, 24*time.Hour)
	c.DeepEvery = cmp.Or(c.DeepEvery, 7*24*time.Hour)
	c.BytesPerSecond = cmp.Or(c.BytesPerSecond, 64<<20)
}

const (
	// scrubLook is how often is looked whether a scrub is due.
	scrubLook = 30 * time.Second
	// scrubLines bounds the lines about damage that one scrub writes into the
	// cluster's log; list-inconsistent-obj has all of it.
	scrubLines = 20
)

// scrubs is what is to be scrubbed, one PG at a time.
type scrubs struct {
	kick chan struct{}
	mu   sync.Mutex
	ask  map[ceph.PG]scrubAsk // by operators
	now  ceph.PG
	runs msg.PGState // how the PG now is scrubbed; 0: none is
	// spent is when the bytes that were read may all have been read.
	spent time.Time
}

type scrubAsk struct{ deep, repair bool }

// kind is the name of a scrub.
func (a scrubAsk) kind() string {
	switch {
	case a.repair:
		return "repair"
	case a.deep:
		return "deep-scrub"
	}
	return "scrub"
}

// askScrub notes that an operator wants PGs scrubbed.
func (o *OSD) askScrub(a scrubAsk, list ...ceph.PG) {
	o.scrubs.mu.Lock()
	for _, id := range list {
		old := o.scrubs.ask[id]
		o.scrubs.ask[id] = scrubAsk{a.deep || a.repair || old.deep, a.repair || old.repair}
	}
	o.scrubs.mu.Unlock()
	kick(o.scrubs.kick)
}

// takeScrub does what a manager or monitor asks for.
func (o *OSD) takeScrub(p *msg.OSDScrub2) {
	if p.FSID != o.fsid() {
		return
	}
	var list []ceph.PG
	for _, id := range p.PGs {
		list = append(list, id.PG)
	}
	o.askScrub(scrubAsk{p.Deep, p.Repair}, list...)
}

// scrubAll scrubs what was asked for, then what is due.
func (o *OSD) scrubAll() {
	t := time.NewTicker(scrubLook)
	defer t.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-o.scrubs.kick:
		case <-t.C:
		}
		for o.ctx.Err() == nil {
			id, p, a, ok := o.nextScrub()
			if !ok {
				break
			}
			o.scrubPG(id, p, a)
		}
	}
}

// nextScrub chooses the PG to scrub now.
func (o *OSD) nextScrub() (ceph.PG, *pg.PG, scrubAsk, bool) {
	o.mu.Lock()
	m, here := o.mu.m, maps.Clone(o.mu.pgs)
	o.mu.Unlock()
	o.scrubs.mu.Lock()
	defer o.scrubs.mu.Unlock()
	for id, a := range o.scrubs.ask {
		delete(o.scrubs.ask, id)
		if p := here[id]; p != nil {
			return id, p, a, true
		}
	}
	now := o.cfg.Now()
	for _, id := range slices.SortedFunc(maps.Keys(here), ceph.PG.Compare) {
		pool := m.Pools[id.Pool]
		if pool == nil {
			continue
		}
		next, deep := o.scrubDue(m, pool, id, here[id].Status().Scrubs)
		if !next.After(now) {
			return id, here[id], scrubAsk{deep: deep}, true
		}
	}
	return ceph.PG{}, nil, scrubAsk{}, false
}

// scrubDue returns when a PG is scrubbed next by itself, and whether deeply.
func (o *OSD) scrubDue(m *osdmap.Map, pool *osdmap.Pool, id ceph.PG, s pg.Scrubs) (time.Time, bool) {
	shift := func(d time.Duration) time.Duration { // the same for a PG each time
		return d + d/2*time.Duration((id.Seed*2654435761>>16)%1000)/1000
	}
	never := o.cfg.Now().Add(100 * 365 * 24 * time.Hour)
	at, deepAt := s.At.Std().Add(shift(o.cfg.Scrub.Every)), s.DeepAt.Std().Add(shift(o.cfg.Scrub.DeepEvery))
	if m.Flags&osdmap.FlagNoScrub != 0 || pool.Flags&osdmap.PoolNoScrub != 0 {
		at = never
	}
	if m.Flags&osdmap.FlagNoDeepScrub != 0 || pool.Flags&osdmap.PoolNoDeepScrub != 0 {
		deepAt = never
	}
	if !deepAt.After(at) {
		return deepAt, true
	}
	return at, false
}

// scrubPG scrubs one PG and says so.
func (o *OSD) scrubPG(id ceph.PG, p *pg.PG, a scrubAsk) {
	state := msg.PGScrubbing
	if a.deep {
		state |= msg.PGDeepScrub
	}
	if a.repair {
		state |= msg.PGRepair
	}
	o.setScrubbing(id, state)
	defer func() {
		o.setScrubbing(id, 0)
		kick(o.soon)
	}()
	o.clog(msg.LogDebug, "%v %s starts", id, a.kind())
	res, err := p.Scrub(o.ctx, pg.ScrubOptions{Deep: a.deep, Repair: a.repair, OSD: o.cfg.ID, Pace: o.pace, Now: ceph.MakeTime(o.cfg.Now())})
	switch {
	case errors.Is(err, context.Canceled):
		return // the PG went, or we stop
	case err != nil:
		o.log.Warn("scrub ended early", "pg", id, "err", err)
		o.clog(msg.LogError, "%v %s ended early: %v", id, a.kind(), err)
		return
	}
	for i, t := range res.Text {
		if i == scrubLines {
			o.clog(msg.LogError, "%v %s : %d more lines are not logged", id, a.kind(), len(res.Text)-i)
			break
		}
		o.clog(msg.LogError, "%s %v %s", a.kind(), id, t)
	}
	switch n := res.Shallow + res.Deeply; {
	case n == 0:
		o.clog(msg.LogDebug, "%v %s ok", id, a.kind())
	case a.repair:
		o.clog(msg.LogError, "%v %s %d errors, %d fixed", id, a.kind(), n, res.Fixed)
	default:
		o.clog(msg.LogError, "%v %s %d errors", id, a.kind(), n)
	}
	o.count.scrubbed.Add(uint64(res.Objects))
}

func (o *OSD) setScrubbing(id ceph.PG, state msg.PGState) {
	o.scrubs.mu.Lock()
	o.scrubs.now, o.scrubs.runs = id, state
	o.scrubs.mu.Unlock()
	kick(o.soon)
}

// pace waits until bytes may be read.
func (o *OSD) pace(ctx context.Context, bytes int) error {
	now := time.Now()
	o.scrubs.mu.Lock()
	if o.scrubs.spent.Before(now) {
		o.scrubs.spent = now
	}
	wait := o.scrubs.spent.Sub(now)
	o.scrubs.spent = o.scrubs.spent.Add(time.Duration(int64(bytes) * int64(time.Second) / o.cfg.Scrub.BytesPerSecond))
	o.scrubs.mu.Unlock()
	if wait < time.Millisecond {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holdScrubs adds to a report how a PG was scrubbed.
func (o *OSD) holdScrubs(r *msg.PGStat, id ceph.PG, s pg.Scrubs) {
	r.LastScrub, r.LastScrubStamp, r.LastDeepScrub, r.LastDeepScrubStamp, r.LastCleanScrubStamp = s.Last, s.At, s.LastDeep, s.DeepAt, s.CleanAt
	r.Sum.ShallowScrubErrors, r.Sum.DeepScrubErrors = int64(s.ShallowErrors), int64(s.DeepErrors)
	if r.Sum.ScrubErrors = r.Sum.ShallowScrubErrors + r.Sum.DeepScrubErrors; r.Sum.ScrubErrors > 0 {
		r.State |= msg.PGInconsistent
	}
	o.scrubs.mu.Lock()
	defer o.scrubs.mu.Unlock()
	if o.scrubs.now == id && r.State&msg.PGActive != 0 {
		r.State |= o.scrubs.runs
	}
}

// scrubCommand is `ceph tell osd.N scrub PGID`, or a deep one.
func (o *OSD) scrubCommand(name string, deep bool) asok.Command {
	return asok.Command{
		Name: name, Help: "Trigger a scheduled " + map[bool]string{false: "scrub", true: "deep scrub"}[deep],
		Args: []asok.Arg{{Name: "pgid", Kind: asok.PGID}, {Name: "time", Kind: asok.Int}},
		Run: func(_ context.Context, r *asok.Request) (any, error) {
			if !r.Has("pgid") {
				return nil, fmt.Errorf("no pgid specified: %w", syscall.EINVAL)
			}
			p, err := o.pgOf(r.String("pgid"))
			if err != nil {
				return nil, err
			}
			id, _ := ceph.ParsePG(r.String("pgid"))
			s := p.Status().Scrubs
			o.askScrub(scrubAsk{deep: deep}, id)
			stamp := s.At
			if deep {
				stamp = s.DeepAt
			}
			return map[string]any{"deep": deep, "stamp": stamp.String()}, nil
		},
	}
}

// scheduled is the answer of `dump_scrubs`.
func (o *OSD) scheduled() any {
	o.mu.Lock()
	m, here := o.mu.m, maps.Clone(o.mu.pgs)
	o.mu.Unlock()
	type entry struct {
		PG       string `json:"pgid"`
		At       string `json:"sched_time"`
		Deadline string `json:"deadline"`
		Forced   bool   `json:"forced"`
	}
	list := []entry{}
	for _, id := range slices.SortedFunc(maps.Keys(here), ceph.PG.Compare) {
		if pool := m.Pools[id.Pool]; pool != nil {
			at, _ := o.scrubDue(m, pool, id, here[id].Status().Scrubs)
			o.scrubs.mu.Lock()
			_, forced := o.scrubs.ask[id]
			o.scrubs.mu.Unlock()
			list = append(list, entry{id.String(), ceph.MakeTime(at).String(), ceph.MakeTime(at.Add(6 * o.cfg.Scrub.Every)).String(), forced})
		}
	}
	return list
}
