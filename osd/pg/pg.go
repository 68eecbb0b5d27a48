package pg

import (
	"context"
	"errors"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/ops"
)

// Session is the connection of a client, as far as a PG uses it.
type Session interface {
	// Send queues a message for the client. It does not block.
	Send(p msg.Payload)
	// Client returns who it is, Addr where.
	Client() ceph.EntityID
	Addr() ceph.Addr
}

// Config is what a PG is made of. Functions may be called at any time by any
// goroutine, and return at once.
type Config struct {
	Store osd.ObjectStore
	PG    ceph.PG
	PGNum uint32 // of the pool

	// Epoch returns the newest map's.
	Epoch func() ceph.Epoch
	// PoolSnaps returns the snapshot context of the pool; nil: it has none.
	PoolSnaps func() ops.SnapContext
	// Removed tells deleted snapshots; nil: there are none.
	Removed func(ceph.SnapID) bool
	// Fetch reads an object of any PG, for copies; nil: EOPNOTSUPP.
	Fetch func(ctx context.Context, loc ceph.Locator, name string, snap ceph.SnapID) (*ops.Content, error)
	// Full says what stands against growing; nil: nothing.
	Full func() Full
	// Failed is told when the store takes no more changes; nil: nobody.
	Failed func(error)

	// LogLength returns how many entries the log is to have, which its OSD shares out
	// among its PGs; nil: 3000.
	LogLength func() int
	// Known returns how many requests of clients are to be known, be it by no more than
	// their answer; nil: 3000.
	Known func() int

	// After calls f later unless stop is called first; nil: time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Slots is how many objects' metadata is kept in RAM; 0: 1024.
	Slots int
}

// PG is one placement group.
type PG struct {
	cfg  Config
	env  ops.Env
	info Info            // changed under infoMu and mu
	ctx  context.Context // ends with the PG
	stop context.CancelFunc
	wg   sync.WaitGroup

	// order is held from the moment a version is given to when its transaction is
	// queued. It is taken before mu.
	order  sync.Mutex
	infoMu sync.Mutex // likewise, while info is being stored

	mu struct {
		sync.Mutex
		closed   bool
		slots    map[ceph.HObject]*slot
		log      log
		last     ceph.EVersion // newest in the log
		lastUser uint64
		stats    Stats
		watches  map[ceph.HObject]map[ops.WatchKey]*watcher
		notifies map[uint64]*notify
		notified uint32        // counter for ids
		scrub    *ops.ScrubLog // of the last scrub; nil: none since Open
	}
}

// Open opens the PG that is in the store.
func Open(ctx context.Context, cfg Config) (*PG, error) {
	if cfg.Slots == 0 {
		cfg.Slots = 1024
	}
	if cfg.After == nil {
		cfg.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	p := &PG{cfg: cfg}
	var err error
	var l log
	if p.info, l, err = load(ctx, cfg.Store, Collection(cfg.PG), cfg.PG); err != nil {
		return nil, err
	}
	p.env = ops.Env{
		Store: cfg.Store, Coll: Collection(cfg.PG), PG: cfg.PG, Fetch: cfg.Fetch, Removed: cfg.Removed, Now: cfg.Now,
		NotifyID: p.notifyID, Ping: p.ping, Scrubbed: p.scrubLog,
	}
	p.env.Begin, p.env.End = cfg.PG.Range(cfg.PGNum)
	p.mu.log = l
	p.mu.slots = map[ceph.HObject]*slot{}
	p.mu.watches = map[ceph.HObject]map[ops.WatchKey]*watcher{}
	p.mu.notifies = map[uint64]*notify{}
	if n := len(l.entries); n > 0 {
		e := l.entries[n-1]
		p.mu.last, p.mu.stats = e.Version, e.Stats
		for _, e := range l.entries {
			p.mu.lastUser = max(p.mu.lastUser, e.UserVersion)
		}
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p, nil
}

// Whole reads an object of the PG, or what a snapshot shows of it, as the store has
// it, to be copied. It waits for no request on it: copies of each other's target
// would wait in a ring.
func (p *PG) Whole(ctx context.Context, head ceph.HObject, snap ceph.SnapID) (*ops.Content, error) {
	return p.environment().Whole(ctx, head, snap)
}

// Close drops what waits, ends timers and waits for what runs. Nobody gets a
// reply any more.
func (p *PG) Close() {
	p.mu.Lock()
	p.mu.closed = true
	var dropped []*work
	for _, s := range p.mu.slots {
		dropped = append(dropped, s.queue...)
		s.queue = nil
	}
	for _, m := range p.mu.watches {
		for _, w := range m {
			w.stop()
		}
	}
	for _, n := range p.mu.notifies {
		n.stop()
	}
	p.mu.Unlock()
	for _, w := range dropped {
		w.drop()
	}
	p.stop()
	p.wg.Wait()
}

// Status is a PG as it is reported.
type Status struct {
	Last, LogStart ceph.EVersion
	LogEntries     int
	Dups           int    // older requests that are known
	LastUser       uint64 // newest user version
	Created        ceph.Epoch
	Stats          Stats
	Scrubs         Scrubs
	Waiting        int // requests that have not been started
	Watches        int
}

// Status returns how the PG is.
func (p *PG) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Last: p.mu.last, LastUser: p.mu.lastUser, LogEntries: len(p.mu.log.entries), Dups: p.mu.log.dups.n, Created: p.info.Created, Stats: p.mu.stats, Scrubs: p.info.Scrubs}
	if s.LogEntries > 0 {
		s.LogStart = p.mu.log.entries[0].Version
	}
	for _, o := range p.mu.slots {
		s.Waiting += len(o.queue)
	}
	for _, m := range p.mu.watches {
		s.Watches += len(m)
	}
	return s
}

// failed hands on an error after which the store takes nothing more.
func (p *PG) failed(err error) {
	if p.cfg.Failed != nil {
		p.cfg.Failed(err)
	}
}

// refused reports whether the store has refused a transaction for what it is,
// and goes on.
func refused(err error) bool {
	return errors.Is(err, osd.ErrNoSpace) || errors.Is(err, osd.ErrTooLarge) || errors.Is(err, osd.ErrInvalid) || errors.Is(err, osd.ErrUnsupported)
}
