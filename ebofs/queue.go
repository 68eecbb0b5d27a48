package ebofs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ebofs/allocator"
	"ebofs/ebofs/wal"
	"ebofs/internal/planted"
)

// notice is somebody to be told when a transaction is committed.
type notice struct {
	txid  uint64
	fn    func(error)
	from  time.Time // when it was asked for
	watch stopwatch
}

// pass is one transaction on its way: resolved changes and what they hold.
type pass struct {
	changes  []change
	colls    []*collection
	placed   []allocator.Extent // blocks of path D, given back if refused
	beside   []wal.Beside       // those of them that are written with the record
	spots    []placed           // memory for where they are: change.place of these ends with the pass
	crcs     []uint32
	tokens   spaceTokens
	longest  uint64 // blocks of the longest value
	record   int64  // bytes the record will take at most
	admitted int64  // of it, counted in Store.inflight
	view     []objectView
	met      int    // index in view of the object that was looked for last
	structs  bool   // changes collections
	frees    bool   // only gives space back
	clones   bool   // copies from objects
	slack    uint64 // what the sources of clones may grow by; more at each try
	promised need   // for the clones
	enc      recordEncoder
	watch    stopwatch
	turn     uint // counts transactions, for those to watch
	key      []byte
}

// objectView is what the transaction's earlier operations made of an object.
type objectView struct {
	o      *onode
	known  bool // exists is certain
	exists bool
	size   uint64 // if the transaction clones
}

var passes = sync.Pool{New: func() any { return new(pass) }}

// Apply queues t and returns when it is committed, that is durable.
func (s *Store) Apply(ctx context.Context, t *Txn) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	begin := time.Now()
	lsn, watch, err := s.queue(ctx, t, begin, nil)
	if err != nil || lsn == 0 {
		return err
	}
	if err = s.wal.Wait(ctx, lsn); err == nil {
		since(&s.lat.Commit, begin)
		watch.lap(StageLog)
	}
	return err
}

// Queue applies t. It returns once every later read sees it, or an error and
// nothing has changed. onApplied, if not nil, is called before it returns;
// onCommit later, in the order of the transactions of a collection, with nil
// once t is durable or with the error that stopped the store.
func (s *Store) Queue(ctx context.Context, t *Txn, onApplied func(), onCommit func(error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	notice := onCommit
	applied := func() {}
	if onApplied != nil && onCommit != nil && !s.opt.Inline {
		// The log may be quicker than we are; the notices keep their order.
		done := make(chan struct{})
		notice = func(err error) { <-done; onCommit(err) }
		applied = func() { close(done) }
	}
	lsn, _, err := s.queue(ctx, t, time.Now(), notice)
	if err != nil {
		return err
	}
	if onApplied != nil {
		onApplied()
	}
	applied()
	if onCommit != nil {
		if lsn == 0 {
			s.fin.tell(nil, []func(error){onCommit})
		} else if s.opt.Inline {
			_ = s.wal.Wait(ctx, lsn) // applied it is; onCommit is told the error
		} else {
			s.wal.Kick()
		}
	}
	return nil
}

// queue does all of it but waiting for the commit. LSN 0: nothing to commit.
func (s *Store) queue(ctx context.Context, t *Txn, begin time.Time, onCommit func(error)) (wal.LSN, stopwatch, error) {
	if err := s.writable(); err != nil {
		return 0, stopwatch{}, err
	}
	if err := ctx.Err(); err != nil {
		return 0, stopwatch{}, err
	}
	if err := t.validate(); err != nil {
		return 0, stopwatch{}, err
	}
	if len(t.ops) == 0 {
		return 0, stopwatch{}, nil
	}
	for slack := uint64(0); ; slack = 2*slack + 16 {
		lsn, watch, err := s.try(ctx, t, slack, begin, onCommit)
		if !errors.Is(err, errGrown) {
			return lsn, watch, err
		}
	}
}

// try queues t, whose sources of clones may grow by slack meanwhile.
func (s *Store) try(ctx context.Context, t *Txn, slack uint64, begin time.Time, onCommit func(error)) (wal.LSN, stopwatch, error) {
	p := passes.Get().(*pass)
	defer p.done(s)
	p.slack = slack
	if p.turn++; p.turn%watchEvery == 0 && slack == 0 {
		p.watch = stopwatch{&s.lat.Stages, begin}
	}
	if err := s.prepare(ctx, t, p); err != nil {
		s.refuse(p)
		return 0, stopwatch{}, err
	}
	if err := s.meet(ctx, p); err != nil {
		s.refuse(p)
		return 0, stopwatch{}, err
	}
	if err := s.lock(ctx, t, p); err != nil {
		s.refuse(p)
		return 0, stopwatch{}, err
	}
	defer s.unlock(p)
	if err := s.resolve(ctx, t, p); err != nil {
		s.refuse(p)
		return 0, stopwatch{}, err
	}
	if err := s.enterGate(ctx, p); err != nil {
		s.refuse(p)
		return 0, stopwatch{}, err
	}
	defer s.gate.RUnlock()
	since(&s.lat.QueueWait, begin)
	p.watch.lap(StageOrder)
	lsn, err := s.commit(p, begin, onCommit)
	return lsn, p.watch, err
}

// commit applies the changes and appends their record to the log, within one
// epoch: the gate is held.
func (s *Store) commit(p *pass, begin time.Time, onCommit func(error)) (wal.LSN, error) {
	// Journaled data is kept in RAM until it is folded; the caller's memory is
	// the caller's again when we return.
	user := int64(0)
	journal := s.journals.of(s.epoch)
	for i := range p.changes {
		c := &p.changes[i]
		user += c.userBytes()
		if c.code == opWrite {
			c.data = journal.keep(c.data)
		}
	}
	flags := uint16(0)
	if len(p.placed) > 0 {
		flags = wal.NeedsDataFlush
	}
	epoch := s.epoch
	parts := p.enc.encode(epoch, p.changes)
	s.apply(p.changes, p.view, epoch)
	s.dirty.account(epoch, burdenOf(p.changes, p.tokens))
	p.tokens, p.placed = spaceTokens{}, p.placed[:0] // what lies beside is the log's from here on

	s.logMu.Lock()
	defer s.logMu.Unlock()
	s.txid++
	lsn, err := s.wal.AppendBeside(s.txid, flags, p.beside, parts...)
	if err != nil {
		// Applied and not logged: nothing may follow.
		s.fail(fmt.Errorf("log: %w", err))
		return 0, s.failure()
	}
	s.lastLSN = lsn
	p.watch.lap(StageApply)
	if onCommit != nil {
		s.notices = append(s.notices, notice{s.txid, onCommit, begin, p.watch})
	}
	s.metrics.Transactions.Add(1)
	s.metrics.UserBytes.Add(user)
	return lsn, nil
}

// userBytes is what a change brings to be stored.
func (c *change) userBytes() int64 {
	n := int64(0)
	switch c.code {
	case opWrite, opPlace:
		n = int64(c.n)
	case opOmapHead:
		n = int64(len(c.data))
	case opSetAttrs, opOmapSet:
		for i := range c.pairs {
			n += int64(len(c.pairs[i].key) + len(c.pairs[i].value))
		}
	}
	return n
}

// refuse gives back what a transaction took before it was found impossible.
func (s *Store) refuse(p *pass) {
	if !planted.On(planted.RefuseKeeps) {
		s.strips.leave(p.beside)
		s.space.release(p.placed)
	}
	if !planted.On(planted.PromiseKept) {
		s.space.fulfil(p.tokens)
	}
	p.placed, p.beside, p.tokens = p.placed[:0], p.beside[:0], spaceTokens{}
}

// done ends a pass, whatever became of it.
func (p *pass) done(s *Store) {
	if s.inflight.Add(-p.admitted); s.waiters.Load() > 0 {
		s.wakeRoom()
	}
	for i := range p.view {
		p.view[i].o.refs.Add(-1)
	}
	clear(p.changes)
	clear(p.view)
	clear(p.colls)
	*p = pass{changes: p.changes[:0], beside: p.beside[:0], spots: p.spots[:0], crcs: p.crcs[:0], view: p.view[:0], colls: p.colls[:0], placed: p.placed[:0], enc: p.enc, turn: p.turn, key: p.key[:0]}
	p.enc.reset()
	passes.Put(p)
}

// committed is called by the log, in order, when a group is durable or lost.
func (s *Store) committed(_, last uint64, err error) {
	if err != nil {
		s.fail(err)
	}
	s.logMu.Lock()
	n := 0
	for n < len(s.notices) && (err != nil || s.notices[n].txid <= last) {
		n++
	}
	var fns []func(error)
	for _, x := range s.notices[:n] {
		if err == nil {
			since(&s.lat.Commit, x.from)
			if x.watch.lap(StageLog); x.watch.into != nil {
				watch, fn := x.watch, x.fn // few: x itself stays off the heap
				fns = append(fns, func(err error) { watch.lap(StageNotice); fn(err) })
				continue
			}
		}
		fns = append(fns, x.fn)
	}
	s.notices = append(s.notices[:0], s.notices[n:]...)
	s.logMu.Unlock()
	if len(fns) > 0 {
		if err != nil {
			err = errors.Join(ErrReadOnly, err)
		}
		s.fin.tell(err, fns)
	}
}
