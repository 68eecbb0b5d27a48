package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
	"ebofs/internal/planted"
)

// notice is somebody to be told when a transaction is committed.
type notice struct {
	txid uint64
	fn   func(error)
}

// pass is one transaction on its way: resolved changes and what they hold.
type pass struct {
	changes  []change
	colls    []*collection
	placed   []allocator.Extent // blocks of path D, given back if refused
	tokens   spaceTokens
	longest  uint64 // blocks of the longest value
	record   int64  // bytes the record will take at most
	admitted int64  // of it, counted in Store.inflight
	view     []objectView
	structs  bool   // changes collections
	frees    bool   // only gives space back
	clones   bool   // copies from objects
	slack    uint64 // what the sources of clones may grow by; more at each try
	promised need   // for the clones
	enc      recordEncoder
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
	lsn, err := s.queue(ctx, t, nil)
	if err != nil || lsn == 0 {
		return err
	}
	return s.wal.Wait(ctx, lsn)
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
	lsn, err := s.queue(ctx, t, notice)
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
func (s *Store) queue(ctx context.Context, t *Txn, onCommit func(error)) (wal.LSN, error) {
	if err := s.writable(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := t.validate(); err != nil {
		return 0, err
	}
	if len(t.ops) == 0 {
		return 0, nil
	}
	for slack := uint64(0); ; slack = 2*slack + 16 {
		lsn, err := s.try(ctx, t, slack, onCommit)
		if !errors.Is(err, errGrown) {
			return lsn, err
		}
	}
}

// try queues t, whose sources of clones may grow by slack meanwhile.
func (s *Store) try(ctx context.Context, t *Txn, slack uint64, onCommit func(error)) (wal.LSN, error) {
	p := passes.Get().(*pass)
	defer p.done(s)
	p.slack = slack
	if err := s.prepare(ctx, t, p); err != nil {
		return 0, err
	}
	if err := s.lock(ctx, t, p); err != nil {
		s.refuse(p)
		return 0, err
	}
	defer s.unlock(p)
	if err := s.resolve(ctx, t, p); err != nil {
		s.refuse(p)
		return 0, err
	}
	if err := s.enterGate(ctx, p); err != nil {
		s.refuse(p)
		return 0, err
	}
	defer s.gate.RUnlock()
	return s.commit(p, onCommit)
}

// prepare does what needs no lock: the path of each piece of data, admission,
// and the writes of path D.
func (s *Store) prepare(ctx context.Context, t *Txn, p *pass) error {
	p.changes = p.changes[:0]
	p.frees = true
	direct := 0
	for i := range t.ops {
		op := &t.ops[i]
		p.frees = p.frees && op.code.frees()
		p.structs = p.structs || op.code.onColl()
		p.clones = p.clones || op.code.clones()
		if op.code == opWrite {
			direct += s.splitWrite(p, op, i)
			continue
		}
		c := change{code: op.code, op: i, coll: op.coll, dest: op.dest, off: op.off, n: op.n, toOff: op.toOff, flags: op.spec.Seed, data: op.data, pairs: op.pairs, spec: op.spec}
		if !op.code.onColl() {
			c.key = p.encode(&op.obj)
			if op.code == opRename || op.code.clones() {
				c.to = p.encode(&op.to)
			}
		} else {
			c.flags = 0
		}
		p.changes = append(p.changes, c)
	}
	p.cost()
	most := min(s.ringSize/4, int64(s.wal.MaxRecord()))
	if p.record > most {
		return fmt.Errorf("transaction of %d bytes, the log takes %d at a time: %w", p.record, most, ErrTooLarge)
	}
	if p.clones {
		if err := s.costClones(ctx, p, most); err != nil {
			return err
		}
	}
	if err := s.admit(ctx, p, uint64(direct)); err != nil {
		return err
	}
	if direct > 0 {
		if err := s.writeDirect(ctx, p); err != nil {
			s.refuse(p)
			return err
		}
	}
	return nil
}

// encode returns the encoded key of o.
func (p *pass) encode(o *ObjectID) string {
	p.key = o.AppendKey(p.key[:0])
	if n := len(p.changes); n > 0 && p.changes[n-1].key == string(p.key) {
		return p.changes[n-1].key
	}
	return string(p.key)
}

// directMin is the least data that goes straight to its stripes: below it one
// log write costs less than a write, a record and a fold that never happens.
const directMin = 64 << 10

// splitWrite decides the path of each part of a write: whole blocks, or on
// hard geometry whole stripes, of a large one go to fresh stripes (D), the
// rest into the log (J). It returns the number of blocks that go D.
func (s *Store) splitWrite(p *pass, op *txnOp, index int) int {
	key := p.encode(&op.obj)
	add := func(off uint64, data []byte, code opCode) {
		p.changes = append(p.changes, change{code: code, op: index, coll: op.coll, key: key, off: off, n: uint64(len(data)), data: data})
	}
	first := (op.off + blockSize - 1) &^ (blockSize - 1)
	end := (op.off + op.n) &^ (blockSize - 1)
	unit := uint64(blockSize)
	if s.hard {
		unit = uint64(s.place.StripeBlocks) * blockSize
	}
	if end > first {
		end = first + (end-first)/unit*unit
	}
	if end <= first || end-first < max(directMin, unit) {
		add(op.off, op.data, opWrite)
		return 0
	}
	if first > op.off {
		add(op.off, op.data[:first-op.off], opWrite)
	}
	for at := first; at < end; {
		n := min(end-at, 32<<20)
		add(at, op.data[at-op.off:at-op.off+n], opPlace)
		at += n
	}
	if end < op.off+op.n {
		add(end, op.data[end-op.off:], opWrite)
	}
	return int((end - first) >> blockShift)
}

// placedBytes is what a block of direct data takes of its record at most: its
// checksum, and, on a store where every block is a run of its own, an address
// below 2^56 and a length.
const placedBytes = 4 + 8 + 1

// cost bounds what the transaction needs: log bytes, blocks of data, and what
// its checkpoint will write for it.
func (p *pass) cost() {
	p.record = 64
	grow := uint64(0)
	key := ""
	for i := range p.changes {
		c := &p.changes[i]
		p.record += int64(96 + len(c.key) + len(c.to) + len(c.coll) + len(c.dest))
		if c.key != key {
			key = c.key
			p.tokens.path += 12 // its leaf, and the half it splits off or the neighbour it absorbs
			if !c.code.frees() {
				grow += uint64(len(key)) + 256
			}
		}
		switch c.code {
		case opWrite:
			p.record += int64(len(c.data))
			p.tokens.data += blocksOf(c.off%blockSize + c.n)
			p.tokens.path += 6 + 3*(1+c.n>>chunkShift)
			grow += 24 * (2 + c.n>>blockShift)
		case opPlace:
			p.record += int64(c.n>>blockShift)*placedBytes + 256
			p.tokens.path += 6 + 3*(1+c.n>>chunkShift)
			grow += 24 * (1 + c.n>>blockShift)
		case opZero, opTruncate:
			p.tokens.data += c.edges()
			p.tokens.path += 24
		case opSetAttrs, opOmapSet, opRmAttrs, opOmapRm:
			for _, kv := range c.pairs {
				p.record += int64(len(kv.key) + len(kv.value) + 16)
				grow += uint64(len(kv.key) + len(kv.value) + 32)
				if len(kv.value) > 2<<10 { // long values leave their page
					n := blocksOf(uint64(len(kv.value)))
					p.tokens.data += n
					p.longest = max(p.longest, n)
				}
			}
			p.tokens.path += 6 * uint64(len(c.pairs)+1)
		case opOmapRange, opOmapClear:
			p.record += 2 * MaxOmapKey
			p.tokens.path += 24
		case opOmapHead:
			p.record += int64(len(c.data))
			grow += uint64(len(c.data))
		}
	}
	p.tokens.growth = 1 + grow*2/blockSize
}

// edges returns how many blocks an opZero or opTruncate changes a part of.
func (c *change) edges() (n uint64) {
	if c.off%blockSize != 0 {
		n++
	}
	if c.code == opZero && (c.off+c.n)%blockSize != 0 {
		n++
	}
	return n
}

// writeDirect puts the data of path D on the device, in fresh stripes nothing
// names yet.
func (s *Store) writeDirect(ctx context.Context, p *pass) error {
	for i := range p.changes {
		c := &p.changes[i]
		if c.code != opPlace {
			continue
		}
		from := len(p.placed)
		blocks := c.n >> blockShift
		runs, err := s.space.allocPromised(ctx, allocator.Big, int(blocks), p.placed)
		if err != nil {
			return err
		}
		p.placed = runs
		p.tokens.data -= blocks
		data := c.data
		for _, r := range runs[from:] {
			n := int(r.Blocks) * blockSize
			crcs, err := s.writeSummed(ctx, r.Start, data[:n])
			if err != nil {
				if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
					s.fail(fmt.Errorf("write %d blocks at %d: %w", r.Blocks, r.Start, err))
					return s.failure()
				}
				return err
			}
			c.place = append(c.place, placed{layout.MakeAddr(0, r.Start), crcs})
			data = data[n:]
		}
		c.data = nil
	}
	return nil
}

// overlapMin is the least write whose checksums are computed while the device
// is busy with it; below it the hand-over costs more than it wins.
const overlapMin = 512 << 10

// writeSummed writes data to consecutive blocks and returns their checksums.
func (s *Store) writeSummed(ctx context.Context, start uint64, data []byte) ([]uint32, error) {
	s.metrics.DirectBytes.Add(int64(len(data)))
	crcs := make([]uint32, len(data)/blockSize)
	sum := func() {
		for j := range crcs {
			crcs[j] = layout.CRC(data[j*blockSize : (j+1)*blockSize])
		}
	}
	if s.opt.Inline || len(data) < overlapMin {
		sum()
		return crcs, s.writeRun(ctx, start, data)
	}
	// The sums are the quicker half: whoever does the write need not be woken.
	done := make(chan struct{})
	go func() { sum(); close(done) }()
	err := s.writeRun(ctx, start, data)
	<-done
	return crcs, err
}

// writeRun writes data to consecutive blocks, through a frame if the caller's
// memory is not aligned.
func (s *Store) writeRun(ctx context.Context, start uint64, data []byte) error {
	if aligned(data) {
		return s.main.Write(ctx, devices.Block(start), devices.Vec{data})
	}
	f := s.pool.Get(min(len(data), runBytes))
	defer f.Release()
	for len(data) > 0 {
		n := copy(f.Bytes(), data[:min(len(data), runBytes)])
		if err := s.main.Write(ctx, devices.Block(start), devices.Vec{f.Bytes()[:n]}); err != nil {
			return err
		}
		data = data[n:]
		start += uint64(n / blockSize)
	}
	return nil
}

// lock takes the queues of the collections the transaction names, in order of
// their ids, or the whole structure if it changes collections.
func (s *Store) lock(ctx context.Context, t *Txn, p *pass) error {
	if p.structs {
		s.structMu.Lock()
		return nil
	}
	s.structMu.RLock()
	for i := range p.changes {
		for _, id := range [...]CollectionID{p.changes[i].coll, p.changes[i].dest} {
			if id == "" || len(p.colls) > 0 && p.colls[len(p.colls)-1].id == id {
				continue
			}
			c, err := s.collection(id)
			if err != nil {
				p.colls = p.colls[:0]
				s.structMu.RUnlock()
				return err
			}
			if !slices.Contains(p.colls, c) {
				p.colls = append(p.colls, c)
			}
		}
	}
	slices.SortFunc(p.colls, func(a, b *collection) int { return bytes.Compare([]byte(a.id), []byte(b.id)) })
	for _, c := range p.colls {
		c.queue.Lock()
	}
	return nil
}

func (s *Store) unlock(p *pass) {
	if p.structs {
		s.structMu.Unlock()
		return
	}
	for _, c := range p.colls {
		c.queue.Unlock()
	}
	s.structMu.RUnlock()
}

// resolve finds every object and refuses what cannot be applied. Operations
// that must know the object wait for it; the others take it as a stub.
func (s *Store) resolve(ctx context.Context, t *Txn, p *pass) error {
	var view collectionMap
	if p.structs {
		view = maps.Clone(*s.collMap.Load())
	}
	ci := 0
	for i := range t.ops {
		op := &t.ops[i]
		n := 1 // a write may have become several changes
		for ci+n < len(p.changes) && p.changes[ci+n].op == i {
			n++
		}
		cs := p.changes[ci : ci+n]
		ci += n
		if !op.code.onColl() {
			if err := s.resolveObject(ctx, op, p, cs, view); err != nil {
				return fmt.Errorf("operation %d: %w", i, err)
			}
			continue
		}
		if err := s.checkColl(ctx, op, view, p); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		if op.code == opMkColl {
			cs[0].flags = view[op.coll].cn.Flags
		}
	}
	if p.clones {
		return p.checkClones()
	}
	return nil
}

func (s *Store) resolveObject(ctx context.Context, op *txnOp, p *pass, cs []change, view collectionMap) error {
	if err := s.member(op.coll, &op.obj, view); err != nil {
		return err
	}
	// The size of a source must be certain.
	v, err := s.see(ctx, p, cs[0].key, !op.code.creates() || p.clones, op.code == opRemove)
	if err != nil {
		return err
	}
	for i := range cs {
		cs[i].o = p.view[v].o
		if cs[i].code.creates() {
			cs[i].id = s.nextID.Add(1)
		}
	}
	if op.code.creates() {
		p.view[v].known, p.view[v].exists = true, true
		if (op.code == opWrite || op.code == opZero) && op.n > 0 {
			p.view[v].size = max(p.view[v].size, op.off+op.n)
		}
		return nil
	}
	if !p.view[v].exists {
		return fmt.Errorf("object %s: %w", &op.obj, ErrNotFound)
	}
	switch op.code {
	case opRemove:
		p.view[v].exists, p.view[v].size = false, 0
	case opTruncate:
		p.view[v].size = op.off
	case opClone, opCloneRng:
		return s.resolveClone(ctx, op, p, v, &cs[0], view)
	case opRename:
		if err := s.member(op.dest, &op.to, view); err != nil {
			return err
		}
		w, err := s.see(ctx, p, cs[0].to, true, false)
		if err != nil {
			return err
		}
		if p.view[w].exists {
			return fmt.Errorf("object %s: %w", &op.to, ErrExists)
		}
		p.view[v].exists, p.view[w].exists = false, true
		p.view[v].size, p.view[w].size = 0, p.view[v].size
		cs[0].dst = p.view[w].o
	}
	return nil
}

// resolveClone finds the other object of a clone whose source is p.view[v].
func (s *Store) resolveClone(ctx context.Context, op *txnOp, p *pass, v int, c *change, view collectionMap) error {
	if err := s.member(op.coll, &op.to, view); err != nil {
		return err
	}
	if size := p.view[v].size; op.code == opCloneRng && op.off+op.n > size {
		return fmt.Errorf("clone of bytes %d+%d of %s, which has %d: %w", op.off, op.n, &op.obj, size, ErrInvalid)
	}
	w, err := s.see(ctx, p, c.to, true, false)
	if err != nil {
		return err
	}
	o := p.view[v].o
	o.mu.RLock()
	there := o.cur != nil // not made by this very transaction
	o.mu.RUnlock()
	if there {
		if err := s.warmClone(ctx, o, op); err != nil {
			return err
		}
	}
	to := &p.view[w]
	switch {
	case op.code == opClone:
		to.size = p.view[v].size
	case op.n > 0:
		to.size = max(to.size, op.toOff+op.n)
	}
	to.known, to.exists = true, true
	c.dst, c.id = to.o, s.nextID.Add(1)
	return nil
}

// seen returns what the transaction's earlier operations made of the object of
// that key; known is false if they did not touch it.
func (p *pass) seen(key []byte) (exists, known bool) {
	for i := range p.view {
		if v := &p.view[i]; v.known && v.o.key == string(key) {
			return v.exists, true
		}
	}
	return false, false
}

// member returns nil if the object belongs to the collection.
func (s *Store) member(id CollectionID, o *ObjectID, view collectionMap) error {
	var c *collection
	if view != nil {
		if c = view[id]; c == nil {
			return fmt.Errorf("collection %q: %w", string(id), ErrNotFound)
		}
	} else {
		var err error
		if c, err = s.collection(id); err != nil {
			return err
		}
	}
	return c.holds(o)
}

// see returns the index in p.view of the object of that key. With know its
// existence is certain afterwards. A damaged object is seen only to be removed.
func (s *Store) see(ctx context.Context, p *pass, key string, know, remove bool) (int, error) {
	i := len(p.view) - 1
	for i >= 0 && p.view[i].o.key != key {
		i--
	}
	if i < 0 {
		o, err := s.onodeOf(ctx, []byte(key), know)
		if err != nil {
			return 0, err
		}
		i = len(p.view)
		p.view = append(p.view, objectView{o: o})
	}
	v := &p.view[i]
	// Also if the transaction itself made the object: what needs to know it
	// cannot be left to its stub.
	if know && v.o.loaded != nil {
		select {
		case <-v.o.loaded:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	v.o.mu.RLock()
	defer v.o.mu.RUnlock()
	if v.o.loadErr != nil && !v.known {
		if !remove || v.o.doomed == nil {
			return 0, v.o.loadErr
		}
		v.known, v.exists = true, true
	}
	if !v.known {
		if v.known, v.exists = !v.o.loading, v.o.cur != nil; v.exists {
			v.size = v.o.cur.size
		}
	}
	return i, nil
}

// commit applies the changes and appends their record to the log, within one
// epoch: the gate is held.
func (s *Store) commit(p *pass, onCommit func(error)) (wal.LSN, error) {
	// Journaled data is kept in RAM until it is folded; the caller's memory is
	// the caller's again when we return.
	dirty := int64(0)
	for i := range p.changes {
		c := &p.changes[i]
		if c.code == opWrite {
			c.data = bytes.Clone(c.data)
		}
		dirty += c.dirtyBytes()
	}
	flags := uint16(0)
	if len(p.placed) > 0 {
		flags = wal.NeedsDataFlush
	}
	epoch := s.epoch
	parts := p.enc.encode(epoch, p.changes)
	s.apply(p.changes, epoch)
	s.dirty.account(epoch, dirty, p.tokens)
	p.tokens, p.placed = spaceTokens{}, p.placed[:0]

	s.logMu.Lock()
	defer s.logMu.Unlock()
	s.txid++
	lsn, err := s.wal.Append(s.txid, flags, parts...)
	if err != nil {
		// Applied and not logged: nothing may follow.
		s.fail(fmt.Errorf("log: %w", err))
		return 0, s.failure()
	}
	s.lastLSN = lsn
	if onCommit != nil {
		s.notices = append(s.notices, notice{s.txid, onCommit})
	}
	s.metrics.Transactions.Add(1)
	return lsn, nil
}

// dirtyBytes is what a change keeps in RAM until its checkpoint: journaled
// data, or entries of a delta with what an entry costs beside its bytes.
func (c *change) dirtyBytes() int64 {
	n := int64(len(c.data)) + c.weight
	for i := range c.pairs {
		n += int64(len(c.pairs[i].key)+len(c.pairs[i].value)) + 32
	}
	return n
}

// refuse gives back what a transaction took before it was found impossible.
func (s *Store) refuse(p *pass) {
	if !planted.On(planted.RefuseKeeps) {
		s.space.release(p.placed)
	}
	if !planted.On(planted.PromiseKept) {
		s.space.fulfil(p.tokens)
	}
	p.placed, p.tokens = p.placed[:0], spaceTokens{}
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
	*p = pass{changes: p.changes[:0], view: p.view[:0], colls: p.colls[:0], placed: p.placed[:0], enc: p.enc, key: p.key[:0]}
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
