package ebofs

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// Reads look an object's map up under its lock and touch the device without
// it: what they saw stays readable until they leave the guard.

// aligned reports whether p can be the memory of a direct I/O.
func aligned(p []byte) bool {
	return len(p) > 0 && len(p)%blockSize == 0 && uintptr(unsafe.Pointer(&p[0]))%blockSize == 0
}

// view returns the onode of o in collection c, loaded, with a reference. The
// caller has entered the store.
func (s *Store) view(ctx context.Context, c CollectionID, o *ObjectID) (*onode, error) {
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	if err := s.name(c, o, x); err != nil {
		return nil, err
	}
	return s.onodeOf(ctx, x.key, true)
}

// name puts the key of o into x, if collection c may hold it.
func (s *Store) name(c CollectionID, o *ObjectID, x *scratch) error {
	coll, err := s.collection(c)
	if err != nil {
		return err
	}
	if err := coll.holds(o); err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	x.key = o.AppendKey(x.key[:0])
	return nil
}

// scratch is memory for one look-up.
type scratch struct {
	key   []byte
	chunk [layout.MaxChunkBytes]byte
	val   []byte
	onode layout.Onode
	at    btree.Place // of the onode
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// lockBody locks o for reading and returns its body; the caller unlocks o
// unless there is an error.
func (o *onode) lockBody() (*body, error) {
	o.mu.RLock()
	if o.cur != nil {
		return o.cur, nil
	}
	err := o.loadErr
	o.mu.RUnlock()
	if err == nil {
		err = fmt.Errorf("object %s: %w", objectName(o.key), ErrNotFound)
	}
	return nil, err
}

// Read fills p with the object's bytes from off on and returns how many there
// were before its end. Holes read as zeros. A block that fails its checksum
// gives an error matching ErrCorrupt that names it; nothing wrong is returned. Until
// it returns p is the store's: blocks are read straight into it, and kept from there.
func (s *Store) Read(ctx context.Context, c CollectionID, id ObjectID, off uint64, p []byte) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	if err := s.name(c, &id, x); err != nil {
		return 0, err
	}
	o, fresh := s.onodes.again(x.key)
	if o == nil && !s.noData {
		if n, ok, err := s.readPassing(ctx, x, off, p); ok {
			return n, err
		}
	}
	if o == nil {
		o, fresh = s.onodes.get(x.key)
	}
	o, err := s.loaded(ctx, o, fresh, true)
	if err != nil {
		return 0, err
	}
	defer o.refs.Add(-1)
	if s.noData {
		return 0, fmt.Errorf("object %s: %w", objectName(o.key), ErrNoData)
	}
	t := s.guard.enter()
	defer s.guard.leave(t)
	return s.readOnode(ctx, o, off, p)
}

// fetch is a stretch of one read that has to come from the device or the
// cache: blocks at consecutive addresses.
type fetch struct {
	addr  layout.Addr
	crc   []uint32
	first uint64 // logical block
}

// patch is journaled data to lay over what was fetched.
type patch struct {
	at   int // offset in the caller's buffer
	data []byte
}

// warmTries is how often a read looks for resident extents before it reads
// them with the object locked: each try has just read the page it missed.
const warmTries = 16

func (s *Store) readOnode(ctx context.Context, o *onode, off uint64, p []byte) (int, error) {
	for try := 0; ; try++ {
		b, err := o.lockBody()
		if err != nil {
			return 0, err
		}
		if off >= b.size || len(p) == 0 {
			o.mu.RUnlock()
			return 0, nil
		}
		p := p[:min(uint64(len(p)), b.size-off)]
		n, cold, err := s.readLocked(ctx, o, b, off, p, try == warmTries)
		if cold == nil {
			return n, err
		}
		// The map is not in RAM. It is read without the lock, for writers go on,
		// and then everything is looked up again.
		if _, _, err := b.extents.Get(ctx, cold, nil); err != nil {
			return 0, fmt.Errorf("object %s: extents: %w", objectName(o.key), err)
		}
	}
}

// readLocked reads p with o locked for reading; it unlocks. cold is the key of
// an extents record that would need I/O, unless block allows that.
func (s *Store) readLocked(ctx context.Context, o *onode, b *body, off uint64, p []byte, block bool) (n int, cold []byte, err error) {
	end := off + uint64(len(p))
	if b.over.empty() && off>>blockShift == (end-1)>>blockShift {
		return s.readBlock(ctx, o, b, off, p, block)
	}
	var fetches []fetch
	var patches []patch
	var held [2]*journal
	defer func() {
		for _, j := range held {
			if j != nil {
				j.drop()
			}
		}
	}()
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	for k := off >> chunkShift; k<<chunkShift < end && err == nil; k++ {
		lo, hi := max(off, k<<chunkShift), min(end, (k+1)<<chunkShift)
		var val []byte
		if val, cold, err = b.chunk(ctx, k, x, block); cold != nil {
			o.mu.RUnlock()
			return 0, cold, nil
		}
		if err == nil {
			fetches, err = b.mapChunk(val, lo, hi, off, p, fetches)
		}
		for _, q := range b.over.within(lo, hi) {
			if planted.On(planted.FrozenUnseen) && q.epoch < s.epoch {
				continue
			}
			if i := q.epoch % 2; held[i] == nil {
				held[i] = s.journals.of(q.epoch)
				held[i].hold()
			}
			from, to := max(q.off, lo), min(q.end(), hi)
			patches = append(patches, patch{int(from - off), q.data[from-q.off : to-q.off]})
		}
	}
	o.mu.RUnlock()
	if err != nil {
		return 0, nil, fmt.Errorf("object %s: %w", objectName(o.key), err)
	}
	if err := s.fetchAll(ctx, o.key, btree.Place{}, fetches, off, p); err != nil {
		return 0, nil, err
	}
	for _, q := range patches {
		copy(p[q.at:], q.data)
	}
	return len(p), nil, nil
}

// chunk returns the extents record of chunk k, nil if there is none, or its
// key in cold if that needs I/O and block does not allow it. val lies in x.
func (b *body) chunk(ctx context.Context, k uint64, x *scratch, block bool) (val, cold []byte, err error) {
	if b.extents == nil {
		return nil, nil, nil
	}
	x.key = binary.BigEndian.AppendUint64(x.key[:0], k)
	val, ok, known := b.extents.GetResident(x.key, x.chunk[:0])
	if !known {
		if !block {
			return nil, chunkKey(k), nil
		}
		if val, ok, err = b.extents.Get(ctx, x.key, x.chunk[:0]); err != nil {
			return nil, nil, fmt.Errorf("extents: %w", err)
		}
	}
	if !ok {
		return nil, nil, nil
	}
	return val, nil, nil
}

// mapChunk says where bytes [lo, hi) are, which lie in the chunk whose record
// is val. Holes and inline bytes are filled into p, which holds the object from
// off on; the rest is appended to list. Blocks wholly covered by journaled
// bytes are left to those.
func (b *body) mapChunk(val []byte, lo, hi, off uint64, p []byte, list []fetch) ([]fetch, error) {
	for blk := lo >> blockShift; blk<<blockShift < hi; blk++ {
		at := blk << blockShift
		from, to := max(at, lo), min(at+blockSize, hi)
		if b.over.pieces.len() > 0 && coversRange(b.over.within(from, to), from, to) {
			continue
		}
		addr, crc, flags, err := b.lookup(blk, val)
		if err != nil {
			return list, err
		}
		switch {
		case flags&layout.BlockDamaged != 0:
			return list, damagedBlock(addr)
		case addr != 0:
			if n := len(list); n > 0 {
				l := &list[n-1]
				if l.first+uint64(len(l.crc)) == blk && l.addr+layout.Addr(len(l.crc)) == addr {
					l.crc = append(l.crc, crc)
					continue
				}
			}
			list = append(list, fetch{addr, append(make([]uint32, 0, 16), crc), blk})
		default:
			q := p[from-off : to-off]
			n := 0
			if blk == 0 && b.inline != nil {
				if _, decided := b.over.lookup(0); !decided && from < uint64(len(b.inline)) {
					n = copy(q, b.inline[from:])
				}
			}
			clear(q[n:])
		}
	}
	return list, nil
}

// lookup returns where block blk lies below the journaled bytes: addr 0 is a
// hole or inline. val is the record of its chunk, nil if there is none.
func (b *body) lookup(blk uint64, val []byte) (layout.Addr, uint32, uint8, error) {
	if d, ok := b.over.lookup(blk); ok {
		return d.addr, d.crc, d.flags, nil
	}
	if blk == 0 && b.inline != nil || val == nil {
		return 0, 0, 0, nil
	}
	addr, crc, flags, ok, err := layout.LookupChunk(val, int(blk%layout.ChunkBlocks))
	if err != nil || !ok {
		return 0, 0, 0, err
	}
	return addr, crc, flags, nil
}

// coversRange reports whether list covers [from, to) without a gap.
func coversRange(list []piece, from, to uint64) bool {
	for _, q := range list {
		if q.off > from {
			return false
		}
		from = q.end()
	}
	return from >= to
}

// readBlock reads part of one block of an object without pending changes: the
// common small read, without allocation when the block is cached. o is locked
// for reading and is unlocked here.
func (s *Store) readBlock(ctx context.Context, o *onode, b *body, off uint64, p []byte, block bool) (n int, cold []byte, err error) {
	blk := off >> blockShift
	if blk == 0 && b.inline != nil || b.extents == nil {
		if off < uint64(len(b.inline)) {
			n = copy(p, b.inline[off:])
		}
		o.mu.RUnlock()
		clear(p[n:])
		return len(p), nil, nil
	}
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	val, cold, err := b.chunk(ctx, blk/layout.ChunkBlocks, x, block)
	o.mu.RUnlock()
	if cold != nil {
		return 0, cold, nil
	}
	if err == nil {
		err = s.readMapped(ctx, o.key, btree.Place{}, blk, val, off, p)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("object %s: %w", objectName(o.key), err)
	}
	return len(p), nil, nil
}

// readMapped fills p with bytes of block blk, which is where val says. at is where the
// object lies in the tree, if the caller knows.
func (s *Store) readMapped(ctx context.Context, key string, at btree.Place, blk uint64, val []byte, off uint64, p []byte) error {
	if val == nil {
		clear(p)
		return nil
	}
	addr, crc, flags, ok, err := layout.LookupChunk(val, int(blk%layout.ChunkBlocks))
	switch {
	case err != nil:
		return err
	case !ok:
		clear(p)
		return nil
	case flags&layout.BlockDamaged != 0:
		return damagedBlock(addr)
	}
	if cached(ctx) {
		if s.data.Get(uint64(addr), crc, int(off%blockSize), p) {
			s.metrics.ReadHits.Add(1)
			return nil
		}
		if s.readAhead(ctx, key, at, off, len(p)) && s.data.Get(uint64(addr), crc, int(off%blockSize), p) {
			s.metrics.ReadMisses.Add(1)
			return nil
		}
	}
	s.metrics.ReadMisses.Add(1)
	q, whole := p, len(p) == blockSize && aligned(p)
	if !whole {
		f := s.pool.Get(blockSize)
		defer f.Release()
		q = f.Bytes()
	}
	begin := time.Now()
	if err := s.readData(ctx, addr, crc, q, key); err != nil {
		return err
	}
	since(&s.lat.Read, begin)
	s.data.Put(uint64(addr), crc, q)
	s.shares.read(blockSize)
	if !whole {
		copy(p, q[off%blockSize:])
	}
	return nil
}

func damagedBlock(addr layout.Addr) error {
	return &CorruptError{Device: int(addr.Device()), Block: devices.Block(addr.Block()), Kind: "data", Want: "sound block", Got: "block marked damaged"}
}

// readData reads one block of data and verifies it, trying again when the
// device may have answered wrongly once.
func (s *Store) readData(ctx context.Context, addr layout.Addr, crc uint32, p []byte, key string) error {
	var err error
	for try := range readTries {
		if err = s.readMain(ctx, addr, p); err == nil {
			s.metrics.ReadBytes.Add(int64(len(p)))
			if layout.ColdCRC(p) == crc || planted.On(planted.DataCRC) {
				if try > 0 {
					s.metrics.RetriedReads.Add(1)
					s.log.Warn("read was right only when repeated", "addr", addr, "try", try+1)
				}
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("object %s: block %v: %w", objectName(key), addr, err)
	}
	s.metrics.Corruptions.Add(1)
	return checkBlock(addr, p, crc, objectName(key))
}

// cacheReadMax is the longest read whose blocks are put into the data cache:
// long ones are mostly streams that come once.
const cacheReadMax = 64 << 10

// readPiece is how a long stretch is cut: pieces are read side by side, so that
// one is verified while the device is busy with another.
const readPiece = 1 << 20

// verifyBytes is how much is verified before it is copied: processors' caches hold it.
const verifyBytes = 64 << 10

// fetchAll brings stretches, in order of the object, into p, which holds it from off
// on: from the cache, and what is not there side by side. An error is that of the
// first.
func (s *Store) fetchAll(ctx context.Context, key string, at btree.Place, list []fetch, off uint64, p []byte) error {
	cold := list[:0]
	for _, f := range list {
		if len(f.crc)*blockSize <= cacheReadMax && cached(ctx) {
			if s.fetchCached(&f, off, p) {
				continue
			}
			if len(list) == 1 && s.readAhead(ctx, key, at, off, len(p)) && s.fetchCached(&f, off, p) {
				continue
			}
		}
		cold = append(cold, f)
	}
	if len(cold) == 1 && len(cold[0].crc)*blockSize <= readPiece {
		return s.fetchPiece(ctx, key, cold[0], off, p)
	}
	const most = readPiece / blockSize
	var pieces []fetch
	for _, f := range cold {
		for len(f.crc) > most {
			pieces = append(pieces, fetch{f.addr, f.crc[:most], f.first})
			f = fetch{f.addr + most, f.crc[most:], f.first + most}
		}
		pieces = append(pieces, f)
	}
	return s.each(len(pieces), func(i int) error { return s.fetchPiece(ctx, key, pieces[i], off, p) })
}

// fetchPiece brings one piece into p, which holds the object from off on. Whole blocks
// that fit into aligned memory of the caller go straight there, unless a detour is quicker.
func (s *Store) fetchPiece(ctx context.Context, key string, f fetch, off uint64, p []byte) error {
	at, n := f.first<<blockShift, uint64(len(f.crc))*blockSize
	var q []byte
	var out func(from, to int)
	straight := at >= off && at+n <= off+uint64(len(p)) && aligned(p[at-off:at-off+n])
	if straight {
		q = p[at-off : at-off+n]
	}
	detour := straight && s.detours.take(q)
	if detour {
		defer s.detours.give(len(q))
	}
	if detour || !straight {
		fr := s.pool.Get(int(n))
		defer fr.Release()
		q = fr.Bytes()
		out = func(from, to int) {
			lo, hi := max(at+uint64(from), off), min(at+uint64(to), off+uint64(len(p)))
			copy(p[lo-off:hi-off], q[lo-at:])
		}
	}
	if err := s.fetchRun(ctx, key, &f, q, out); err != nil {
		return err
	}
	if n <= cacheReadMax {
		s.data.PutRun(uint64(f.addr), f.crc, q)
		s.shares.read(int(n))
	}
	return nil
}

// fetchCached fills p from the cache if all of f is there.
func (s *Store) fetchCached(f *fetch, off uint64, p []byte) bool {
	for i, crc := range f.crc {
		at := (f.first + uint64(i)) << blockShift
		from, to := max(at, off), min(at+blockSize, off+uint64(len(p)))
		if !s.data.Get(uint64(f.addr)+uint64(i), crc, int(from-at), p[from-off:to-off]) {
			s.metrics.ReadMisses.Add(1)
			return false
		}
	}
	s.metrics.ReadHits.Add(int64(len(f.crc)))
	return true
}

// fetchRun reads the first blocks of f into q and verifies each. out, if there is one, is
// told what of q is right while it is still in a processor's cache.
func (s *Store) fetchRun(ctx context.Context, key string, f *fetch, q []byte, out func(from, to int)) error {
	begin := time.Now()
	err := s.readMain(ctx, f.addr, q)
	s.haveRead(begin, len(q))
	for from := 0; from < len(q); from += verifyBytes {
		to := min(from+verifyBytes, len(q))
		for at := from; at < to; at += blockSize {
			blk := q[at : at+blockSize]
			if err == nil && layout.ColdCRC(blk) == f.crc[at/blockSize] {
				continue
			}
			// Block by block, with retries, so that the error names the one.
			fr := s.pool.Get(blockSize)
			e := s.readData(ctx, f.addr+layout.Addr(at/blockSize), f.crc[at/blockSize], fr.Bytes(), key)
			copy(blk, fr.Bytes())
			fr.Release()
			if e != nil {
				return e
			}
		}
		if out != nil {
			out(from, to)
		}
	}
	return nil
}

// haveRead counts a read of n bytes of data.
func (s *Store) haveRead(begin time.Time, n int) {
	since(&s.lat.Read, begin)
	s.metrics.ReadBytes.Add(int64(n))
}
