package ebofs

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// streams notice who reads objects in the order of their keys, as an export or a
// copy does. Each is a place in the object tree where somebody read what the data
// cache had not; a read of the object behind it goes on with the stream. Reads in
// no order come and go in young and leave old alone. See docs/decisions/read-ahead.md.
type streams struct {
	mu         sync.Mutex
	young, old nest
	batches    int // read ahead so far, by all
}

// nest is streams, one of which goes when another one comes.
type nest struct {
	list [16]stream
	hand int
}

type stream struct {
	at    btree.Place // of the last object read or read ahead
	run   int         // reads that went on with it
	skips int         // objects it may leave out: others had them in RAM
	probe []wanted    // of what was read ahead last
	batch int         // the number of that
}

const (
	streamBegins = 3 // reads that go on with a stream before anything is read ahead
	streamSkips  = 8 // and its skips from then on

	aheadObjects = 8             // the first time; then twice as many each time
	aheadMost    = 1 << 20       // bytes read ahead at once, at most
	aheadGap     = 4 * blockSize // bytes nobody wants that cost less than a read of their own
	aheadProbes  = 4
)

// follow returns how many reads went on with the stream that a read at a place goes
// on with, this one included; 0 if there is none, and then one begins. A stream ends
// when something it had read ahead is still unused: that was no reading in order.
// beside is how many times others read ahead since the stream did.
func (t *streams) follow(at btree.Place, unused func(wanted) bool) (run, beside int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.old.find(at); s != nil && s.at != at {
		if slices.ContainsFunc(s.probe, unused) {
			*s = stream{}
			return 0, 0
		}
		s.at = at
		s.run++
		return s.run, t.batches - s.batch
	}
	s := t.young.find(at)
	if s == nil {
		t.young.add(stream{at: at, skips: 1})
		return 0, 0
	}
	if s.at == at { // another part of the same object
		return 0, 0
	}
	s.at = at
	if s.run++; s.run == streamBegins {
		t.old.add(stream{at: at, run: s.run, skips: streamSkips, batch: t.batches})
		*s = stream{}
		return streamBegins, 0
	}
	return s.run, 0
}

// reached moves the stream at a place on to where reading ahead got.
func (t *streams) reached(from, to btree.Place, probe []wanted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.old.find(from); s != nil && s.at == from {
		t.batches++
		s.at, s.probe, s.batch = to, probe, t.batches
	}
}

// find returns the stream at a place or right before it, or nil.
func (n *nest) find(at btree.Place) *stream {
	for i := range n.list {
		if s := &n.list[i]; s.at == at || s.precedes(at) {
			return s
		}
	}
	return nil
}

func (n *nest) add(s stream) {
	n.list[n.hand] = s
	n.hand = (n.hand + 1) % len(n.list)
}

func (s *stream) precedes(at btree.Place) bool {
	if s.at.Leaf == at.Leaf {
		return s.at.Item < at.Item && at.Item <= s.at.Item+s.skips
	}
	return s.at.Item+1 == s.at.Items && at.Item == 0
}

// wanted is a block to be read ahead.
type wanted struct {
	addr layout.Addr
	crc  uint32
}

// readAhead is called for n bytes from off on of an object that are not in the data
// cache; from is where it lies in the tree, if the caller knows. If that goes on with a
// stream, it reads them and the same bytes of the objects behind into the cache and
// reports that it did. What fails is left out: whoever wants it will be told. The
// caller is in the guard.
func (s *Store) readAhead(ctx context.Context, key string, from btree.Place, off uint64, n int) bool {
	if off >= cacheReadMax { // inside a large object, where the next one is far
		return false
	}
	if from.Items == 0 {
		x := scratches.Get().(*scratch)
		defer scratches.Put(x)
		x.key = append(x.key[:0], key...)
		var ok bool
		if from, ok = s.objects.PlaceResident(x.key); !ok {
			return false
		}
	}
	run, beside := s.streams.follow(from, func(w wanted) bool { return s.data.Ahead(uint64(w.addr), w.crc) })
	if run < streamBegins {
		return false
	}
	// What all streams read ahead fills half of the cache, or they drive out each other's.
	most := int(min(aheadMost, s.shares.dataBudget()/int64(2*max(beside+1, 2)))) / blockSize
	objects := min(aheadObjects<<min(run-streamBegins, 10), most)
	var list []wanted
	var last []byte
	err := s.objects.Iter(ctx, []byte(key), nil, func(k, val []byte) bool {
		last = append(last[:0], k...)
		list = s.wants(val, off, n, list)
		objects--
		return objects > 0 && len(list) < most
	})
	if err != nil {
		return false
	}
	if to, ok := s.objects.PlaceResident(last); ok {
		s.streams.reached(from, to, probes(list))
	}
	s.readWanted(ctx, list)
	return true
}

// probes returns some blocks of list, the last one among them.
func probes(list []wanted) (some []wanted) {
	for step := max(len(list)/aheadProbes, 1); len(list) > 0; list = list[:max(len(list)-step, 0)] {
		some = append(some, list[len(list)-1])
	}
	return some
}

// wants appends to list where the object whose record is val has n bytes from off on,
// as the last checkpoint left it; the cache may have them.
func (s *Store) wants(val []byte, off uint64, n int, list []wanted) []wanted {
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	on := &x.onode
	if on.Decode(val) != nil || on.Flags&layout.OnodeDamaged != 0 || on.Extents.Kind == btree.RootEmpty || off >= on.Size {
		return list
	}
	k := off >> chunkShift
	end := min(off+uint64(n), on.Size, (k+1)<<chunkShift)
	chunk, ok, known := btree.New(s.cfg.extents, s.pages, btree.Owner{}, on.Extents).GetResident(chunkKey(k), x.chunk[:0])
	if !ok || !known {
		return list
	}
	for blk := off >> blockShift; blk<<blockShift < end; blk++ {
		addr, crc, flags, ok, err := layout.LookupChunk(chunk, int(blk%layout.ChunkBlocks))
		if err == nil && ok && flags&layout.BlockDamaged == 0 && !s.data.Has(uint64(addr), crc) {
			list = append(list, wanted{addr, crc})
		}
	}
	return list
}

// readWanted reads blocks into the data cache, neighbours in one read.
func (s *Store) readWanted(ctx context.Context, list []wanted) {
	slices.SortFunc(list, func(a, b wanted) int { return cmp.Compare(a.addr, b.addr) })
	var runs [][]wanted
	for i := range list {
		if n := len(runs); n > 0 {
			r := runs[n-1]
			if list[i].addr-r[len(r)-1].addr <= 1+aheadGap/blockSize && list[i].addr-r[0].addr < aheadMost/blockSize {
				runs[n-1] = r[:len(r)+1]
				continue
			}
		}
		runs = append(runs, list[i:i+1])
	}
	_ = s.each(len(runs), func(i int) error {
		r := runs[i]
		first := r[0].addr
		f := s.pool.Get(int(r[len(r)-1].addr-first+1) * blockSize)
		defer f.Release()
		begin := time.Now()
		// What a checkpoint knows of is on the device; what lies between may be aboard strips.
		if s.readDevice(ctx, first.Block(), f.Bytes()) != nil {
			return nil
		}
		s.haveRead(begin, len(f.Bytes()))
		for _, w := range r {
			at := int(w.addr-first) * blockSize
			if p := f.Bytes()[at : at+blockSize]; layout.ColdCRC(p) == w.crc {
				s.data.PutAhead(uint64(w.addr), w.crc, p)
			}
		}
		return nil
	})
}
