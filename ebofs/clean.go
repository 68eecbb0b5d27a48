package ebofs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// The cleaner gets whole stripes back where stripes are never written in part: it
// moves what is left in sparse ones together, as part of a checkpoint. So it needs
// no log, no transaction and no lock of its own, a crash leaves either all moves or
// none, and whoever overwrites what is being moved wins as he always does against a
// checkpoint.
//
//	before the cut   choose stripes, fewest live blocks first; find who has a block
//	                 there: objects become dirty though nothing of them changes,
//	                 nodes of trees are touched
//	fold             blocks in these stripes are moved with what was journaled
//	reconcile        touched nodes are written elsewhere
//	durable          the old blocks leave limbo, and their stripes are free
//
// What a stripe holds is found by the owners tree, which is a hint, and by the
// headers of nodes; the bitmap is the truth. A stripe with a block nobody is found
// for (cleanfind.go), or that cannot be moved (shared by others than clones, part of
// a long value, of an object about to be reaped), is left alone for a while.

const (
	cleanBytes   = 64 << 20 // most that one checkpoint moves
	cleanRest    = 4        // epochs a stripe that could not be cleaned is left alone
	cleanLow     = 50       // begins when less than 1/cleanLow of the stripes is free beside the reserve,
	cleanHigh    = 33       // and goes on to 1/cleanHigh
	cleanAtLeast = 8        // stripes, whatever the size of the store
)

// cleaner is what is left of one cleaning for the next; guarded by ckptMu.
type cleaner struct {
	next      []byte      // where ownMore goes on
	more      atomic.Bool // it has not come to the end
	stale     []uint64    // groups whose owners are to be forgotten
	leftovers int         // of an empty store, when they were last looked at
	left      atomic.Bool // there are some
	stuck     bool        // and will not
	won       uint64      // blocks the last checkpoint is to have back

	rest map[uint64]uint64 // stripes not to be tried before an epoch, by first block
}

// victim is a stripe being cleaned.
type victim struct {
	frame  *devices.Frame       // what is in it
	shared map[layout.Addr]bool // blocks marked as shared that may move; true: with all who share them
}

// wantStripes returns how many stripes the cleaner is to win.
func (s *space) wantStripes() uint64 {
	if !s.hard {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.a.TotalStripes()
	have := s.a.FreeStripes() + s.stashed/s.stripe
	need := (s.reserve + s.tokens.data + s.demand) / s.stripe
	if have >= need+max(total/cleanLow, cleanAtLeast) {
		return 0
	}
	return need + max(total/cleanHigh, 2*cleanAtLeast) - have
}

// chooseVictims chooses stripes and has everybody who has something in them take part in
// the checkpoint about to begin.
func (ck *checkpoint) chooseVictims() error {
	s := ck.s
	if err := ck.ownMore(); err != nil {
		return err
	}
	s.cleaner.won = 0
	want := s.space.wantStripes()
	bytes := min(uint64(cleanBytes), uint64(s.maxDirty))
	if w := s.defrag.sweep; w != nil && s.space.hard {
		bytes = min(bytes, w.budget*blockSize)
		if n := s.space.lack(w.score); n > 0 {
			want = max(want, n+2*sealedStripes) // what this checkpoint pads is sparse again
		}
	}
	if want == 0 || ck.clean || ck.relay != nil {
		return nil
	}
	c := &cleaning{ck: ck, ctx: devices.WithClass(ck.ctx, devices.ClassClean), own: make(map[uint64][]int), onodes: make(map[uint64]*onode), stripe: s.space.stripe}
	defer c.release()
	c.findOwn()
	if err := s.space.loadSparse(ck.ctx); err != nil {
		return c.mind(err)
	}
	limit := bytes/blockSize/c.stripe + 1
	won, moved := uint64(0), uint64(0) // blocks
	for _, v := range s.space.sparse(int(4*limit), c.skip) {
		if won >= want*c.stripe || uint64(len(ck.victims)) >= limit {
			break
		}
		live, ok := s.space.liveIn(v, c.own[v.Start])
		if !ok {
			continue // some of it is in limbo still
		}
		done, err := c.try(v, live)
		if err != nil {
			return err
		}
		if c.full {
			break
		}
		if !done {
			s.cleaner.leave(v.Start, s.super.Epoch)
			continue
		}
		won += c.stripe - uint64(v.Used)
		moved += uint64(v.Used)
	}
	if w := s.defrag.sweep; w != nil {
		w.chosen = len(ck.victims)
	}
	s.cleaner.won = won
	if len(ck.victims) > 0 {
		s.log.Debug("cleaning", "stripes", len(ck.victims), "moved", moved, "wins", won/c.stripe, "wanted", want)
	}
	return nil
}

// cleanZones is how many zones that are not in RAM are read for a cleaning.
const cleanZones = 16

// loadSparse reads the bitmaps of the zones with most free blocks outside wholly free
// stripes, as far as they are not in RAM: they are the first worth a look.
func (s *space) loadSparse(ctx context.Context) error {
	type zone struct {
		z         int
		scattered uint64
	}
	var list []zone
	s.mu.Lock()
	for z := range s.a.Zones() {
		sum := s.a.Summary(z)
		if n := uint64(sum.Free) - uint64(sum.FreeStripes)*s.stripe; n >= s.stripe && !s.a.Loaded(z) {
			list = append(list, zone{z, n})
		}
	}
	s.mu.Unlock()
	slices.SortStableFunc(list, func(a, b zone) int { return cmp.Compare(b.scattered, a.scattered) })
	for _, x := range list[:min(cleanZones, len(list))] {
		if err := s.ensure(ctx, x.z); err != nil {
			return err
		}
	}
	return nil
}

// ask notes that somebody waits for so many blocks; what it returns ends that.
func (s *space) ask(blocks uint64) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demand += blocks
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.demand -= blocks
	}
}

// usable returns the free blocks that can be used on hard geometry, the reserve
// among them; 0 on soft, where none has to be won.
func (s *space) usable() uint64 {
	if !s.hard {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freeLocked() + s.stashed
}

// scarce says that it is time for a checkpoint because free stripes run out: half of
// those there were after the last one are gone, and the cleaner would begin.
func (s *space) scarce() bool {
	return s.hard && s.wantStripes() > 0 && s.usable() < s.had.Load()/2
}

// leave has a stripe left alone for a while.
func (c *cleaner) leave(start, epoch uint64) {
	if c.rest == nil {
		c.rest = make(map[uint64]uint64)
	}
	c.rest[start] = epoch + cleanRest
}

// sparse returns stripes with the fewest blocks in use.
func (s *space) sparse(most int, skip func(uint64) bool) []allocator.Stripe {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.a.Sparse(most, skip)
}

// cleaning is the choice of stripes for one checkpoint.
type cleaning struct {
	ck     *checkpoint
	ctx    context.Context  // of its reads of stripes
	stripe uint64           // blocks
	own    map[uint64][]int // zones whose bitmap lies in a stripe, -1 for other own blocks
	fixed  map[uint64]bool
	onodes map[uint64]*onode // looked at, by object id
	plan   stripePlan
	full   bool // there is no space to move more
}

// stripePlan is what has to take part so that one stripe becomes empty.
type stripePlan struct {
	chunks []chunkOf
	nodes  []nodeOf
	zones  []int
	shared map[layout.Addr]bool // see victim
}

type chunkOf struct {
	o     *onode
	id    uint64
	chunk uint64
}

// nodeOf is a node to be touched: of a global tree, or of an object's.
type nodeOf struct {
	tree *btree.Tree // global
	kind layout.TreeKind
	o    *onode
	id   uint64
	key  []byte
}

// release ends the use of the onodes that were looked at; what takes part is dirty.
func (c *cleaning) release() {
	for _, o := range c.onodes {
		o.refs.Add(-1)
	}
}

// stripeOf returns the first block of the stripe block b lies in.
func (s *space) stripeOf(b uint64) uint64 {
	return b - (b+s.stripe-s.stripeAt)%s.stripe
}

// findOwn notes which stripes hold blocks the root record names.
func (c *cleaning) findOwn() {
	s := c.ck.s.space
	bitmap := make(map[uint64]int)
	for z := range s.zones {
		if r := s.zones[z].entry.Bitmap; !r.IsNone() {
			bitmap[r.Addr.Block()] = z
		}
	}
	for _, e := range s.own {
		z, ok := bitmap[e.Start]
		if !ok {
			z = -1
		}
		for b := s.stripeOf(e.Start); b < e.End(); b += s.stripe {
			c.own[b] = append(c.own[b], z)
		}
	}
	c.fixed = make(map[uint64]bool)
	for _, e := range s.fixed {
		for b := s.stripeOf(e.Start); b < e.End(); b += s.stripe {
			c.fixed[b] = true
		}
	}
}

// skip says that a stripe is not to be cleaned now.
func (c *cleaning) skip(start uint64) bool {
	return c.fixed[start] || c.ck.s.cleaner.rest[start] > c.ck.s.super.Epoch
}

// try has stripe v, with these blocks live in it, emptied by this checkpoint, if all
// that is in it can be moved.
func (c *cleaning) try(v allocator.Stripe, live []uint64) (bool, error) {
	ck, s := c.ck, c.ck.s
	frame := s.pool.Get(int(c.stripe) * blockSize)
	if err := readRetry(c.ctx, s.main, devices.Block(v.Start), frame.Bytes()); err != nil {
		frame.Release()
		return false, c.mind(err)
	}
	c.plan = stripePlan{shared: make(map[layout.Addr]bool)}
	ok, err := c.find(v.Start, live, frame.Bytes())
	if err == nil && ok {
		ok = c.promise(uint64(len(live)))
		c.full = !ok
	}
	if err != nil || !ok {
		frame.Release()
		return false, c.mind(err)
	}
	if ck.victims == nil {
		ck.victims = make(map[uint64]*victim)
	}
	ck.victims[v.Start] = &victim{frame, c.plan.shared}
	c.commit()
	return true, nil
}

// mind returns the errors for which a checkpoint does not go on without cleaning.
func (c *cleaning) mind(err error) error {
	if err == nil || errors.Is(err, ErrCorrupt) {
		return nil
	}
	if c.ck.s.outage(c.ck.ctx, err) {
		return err
	}
	return nil // a block that cannot be read keeps its stripe
}

// liveIn lists the blocks the last checkpoint uses in stripe v, its own excepted. ok
// is false if others are in use or limbo.
func (s *space) liveIn(v allocator.Stripe, own []int) (live []uint64, ok bool) {
	zone := s.zoneOf(v.Start)
	zs := &s.zones[zone]
	if zs.lost || zs.bits == nil {
		return nil, false
	}
	start, _ := s.place.Zone(uint32(zone))
	first := v.Start - start
	for i := first; i < first+s.stripe; i++ {
		if zs.bits[i/64]>>(i%64)&1 == 1 {
			live = append(live, start+i)
		}
	}
	ours := uint64(0)
	if len(own) > 0 {
		for _, e := range s.own {
			lo, hi := max(e.Start, v.Start), min(e.End(), v.Start+s.stripe)
			if lo < hi {
				ours += hi - lo
			}
		}
	}
	return live, uint64(len(live))+ours == uint64(v.Used)
}

// promise reserves the space that the moves of c.plan take, and reports whether it
// is there.
func (c *cleaning) promise(live uint64) bool {
	s := c.ck.s
	chunks := uint64(len(c.plan.chunks))
	t := spaceTokens{data: live, path: 12 * (chunks + uint64(len(c.plan.nodes))), growth: 1 + chunks*denseLoss*2/blockSize}
	if !s.space.promise(t, 0, true, s.metaBlocks.Load()) {
		return false
	}
	s.gate.RLock()
	s.dirty.account(s.epoch, burden{tokens: t})
	s.gate.RUnlock()
	return true
}

// commit has all of c.plan take part in the epoch that is open.
func (c *cleaning) commit() {
	s := c.ck.s
	for _, z := range c.plan.zones {
		s.space.zones[z].dirty = true
	}
	for _, n := range c.plan.nodes {
		if n.tree != nil {
			n.tree.Touch(n.key)
			continue
		}
		s.takePart(n.o, n.id, func(b *body) {
			t := b.extents
			switch n.kind {
			case layout.TreeAttrs:
				t = b.attrs
			case layout.TreeOmap:
				t = b.omap
			}
			if t != nil {
				t.Touch(n.key)
			}
		})
	}
	for _, x := range c.plan.chunks {
		s.takePart(x.o, x.id, func(b *body) {
			b.move(x.chunk, false)
		})
	}
}

// move notes that blocks of a chunk are to be moved: whole, all that can be.
func (b *body) move(chunk uint64, whole bool) {
	if b.moves == nil {
		b.moves = make(map[uint64]bool)
	}
	b.moves[chunk] = b.moves[chunk] || whole
}

// takePart makes an object dirty in the open epoch and calls fn, unless it is not the
// one it was.
func (s *Store) takePart(o *onode, id uint64, fn func(*body)) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.loading || o.loadErr != nil || o.cur == nil || o.cur.id != id {
		return
	}
	s.touchLocked(o, s.epoch)
	fn(o.cur)
}

// moving returns what a block of an object holds if the checkpoint is to move it, and
// whether that is for all who share it.
func (ck *checkpoint) moving(d decided) (p []byte, joint bool) {
	if d.addr == 0 || len(ck.victims) == 0 || d.flags&layout.BlockDamaged != 0 {
		return nil, false
	}
	b := d.addr.Block()
	start := ck.s.space.stripeOf(b)
	v := ck.victims[start]
	if v == nil {
		return nil, false
	}
	joint, ok := v.shared[d.addr]
	if d.flags&layout.BlockShared != 0 && !ok {
		return nil, false
	}
	p = v.frame.Bytes()[(b-start)*blockSize:][:blockSize]
	if layout.CRC(p) != d.crc {
		return nil, false // damaged: it stays where it is
	}
	return p, joint && d.flags&layout.BlockShared != 0
}

// letGo gives back the memory of a cleaning.
func (ck *checkpoint) letGo() {
	ck.fold.ahead.release()
	for _, v := range ck.victims {
		v.frame.Release()
	}
	ck.victims = nil
}

// cleaned ends a cleaning: stripes that did not become empty are left alone.
func (ck *checkpoint) cleaned() {
	s := ck.s
	for start := range ck.victims {
		zone := s.space.zoneOf(start)
		zs := &s.space.zones[zone]
		first, _ := s.place.Zone(uint32(zone))
		if zs.bits != nil && countBits(zs.bits, start-first, s.space.stripe) != 0 {
			s.cleaner.leave(start, ck.epoch)
		}
	}
	for start, until := range s.cleaner.rest {
		if until <= ck.epoch {
			delete(s.cleaner.rest, start)
		}
	}
}
