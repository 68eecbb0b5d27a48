package ebofs

import (
	"context"
	"fmt"
)

// prepare does what needs no lock: the path of each piece of data, admission,
// and the writes of path D. Whatever p holds after an error, refuse gives back.
func (s *Store) prepare(ctx context.Context, t *Txn, p *pass) error {
	direct, err := s.plan(ctx, t, p)
	if err != nil {
		p.tokens = spaceTokens{} // wanted, not promised
		return err
	}
	p.watch.lap(StageAdmit)
	if direct > 0 {
		if err := s.writeDirect(ctx, p); err != nil {
			return err
		}
		p.watch.lap(StageDirect)
	}
	return nil
}

// plan translates t and admits it. It returns how many blocks go straight to their
// stripes now.
func (s *Store) plan(ctx context.Context, t *Txn, p *pass) (int, error) {
	least := s.leastDirect(t)
	direct := s.translate(t, p, least)
	p.cost()
	most := min(s.ringSize/4, int64(s.wal.MaxRecord()))
	if p.record > most && least > directMin { // it may fit with its data direct
		direct = s.translate(t, p, directMin)
		p.tokens, p.longest = spaceTokens{}, 0
		p.cost()
	}
	if p.record > most {
		return 0, fmt.Errorf("transaction of %d bytes, the log takes %d at a time: %w", p.record, most, ErrTooLarge)
	}
	if p.clones {
		if err := s.costClones(ctx, p, most); err != nil {
			return 0, err
		}
	}
	return direct, s.admit(ctx, p, uint64(direct))
}

// translate makes the changes of t, and returns how many blocks of their data go
// straight to their stripes if that is for no less than least bytes.
func (s *Store) translate(t *Txn, p *pass, least uint64) (direct int) {
	p.changes = p.changes[:0]
	p.frees = true
	for i := range t.ops {
		op := &t.ops[i]
		p.frees = p.frees && op.code.frees()
		p.structs = p.structs || op.code.onColl()
		p.clones = p.clones || op.code.clones()
		if op.code == opWrite {
			direct += s.splitWrite(p, op, i, least)
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
	return direct
}

// encode returns the encoded key of o.
func (p *pass) encode(o *ObjectID) string {
	p.key = o.AppendKey(p.key[:0])
	if n := len(p.changes); n > 0 && p.changes[n-1].key == string(p.key) {
		return p.changes[n-1].key
	}
	return string(p.key)
}

// directMin is the least data that is written before its record: below it one log
// write costs less than two, and what many callers write goes beside the log (strip.go).
const directMin = 64 << 10

// lullMin is the least data that does so while nothing else is on its way: a caller
// alone waits for each request by itself, and one is less than two. What the fold
// then writes again, an idle device has time for (docs/decisions/lull.md).
const lullMin = 128 << 10

// leastDirect returns the least data of t that goes straight to its stripes. What is
// written beside direct data waits for that anyway.
func (s *Store) leastDirect(t *Txn) uint64 {
	n := uint64(0)
	for i := range t.ops {
		n += uint64(len(t.ops[i].data))
	}
	if n >= directMin && n < lullMin && !s.opt.Inline && s.inflight.Load() == 0 && s.wal.Idle() {
		return lullMin
	}
	if n < directMin && s.crowd() {
		return blockSize
	}
	return directMin
}

// crowd reports whether so many wait for the log that the bytes of their writes are
// what they wait for.
func (s *Store) crowd() bool {
	return s.opt.DirectFrom > 0 && s.unit == blockSize && s.wal.Together() >= s.opt.DirectFrom
}

// splitWrite decides the path of each part of a write: whole blocks, or on
// hard geometry whole stripes, of a large one go to fresh stripes (D), the
// rest into the log (J). It returns the number of blocks that go D.
func (s *Store) splitWrite(p *pass, op *txnOp, index int, least uint64) int {
	key := p.encode(&op.obj)
	add := func(off uint64, data []byte, code opCode) {
		p.changes = append(p.changes, change{code: code, op: index, coll: op.coll, key: key, off: off, n: uint64(len(data)), data: data})
	}
	first := (op.off + blockSize - 1) &^ (blockSize - 1)
	end := (op.off + op.n) &^ (blockSize - 1)
	unit := s.unit
	if end > first {
		end = first + (end-first)/unit*unit
	}
	if least < directMin && end-first == op.n && end > first && !s.trail.follows(p.key, first, end) {
		if place := s.berth(p, op.data); place != nil {
			add(op.off, op.data, opPlace)
			c := &p.changes[len(p.changes)-1]
			c.place, c.data = place, nil
			return 0
		}
	}
	if end <= first || end-first < max(least, directMin, unit) {
		add(op.off, op.data, opWrite)
		return 0
	}
	if first > op.off {
		add(op.off, op.data[:first-op.off], opWrite)
	}
	for at := first; at < end; {
		n := min(end-at, max(32<<20/unit, 1)*unit)
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

// denseLoss is what an onode may grow by when its extents are not one run any more.
const denseLoss = 96

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
			grow += denseLoss
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
