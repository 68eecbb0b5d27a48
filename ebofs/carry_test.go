package ebofs_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
)

// What decisions/carry.md says is measured here: the tree bytes of random 4 KiB
// overwrites as they are, and, by a model of the leaves, as they would be with
// deltas carried over checkpoints.

// hollow is a device that keeps no zeros, so that objects full of them cost no
// memory.
type hollow struct{ *devices.Mem }

var hollowBlock [devices.BlockSize]byte

func (h hollow) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	for _, p := range v {
		for ; len(p) > 0; p, b = p[devices.BlockSize:], b+1 {
			q := p[:devices.BlockSize]
			var err error
			if bytes.Equal(q, hollowBlock[:]) {
				err = h.Zero(ctx, b, 1)
			} else {
				err = h.Mem.Write(ctx, b, devices.Vec{q})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkMetadata is random 4 KiB overwrites, all over or of a tenth of objects
// that were overwritten once at random, at so many for each leaf of their extents
// and checkpoint. Bytes of trees are for one overwrite.
func BenchmarkMetadata(b *testing.B) {
	const objects, blocks = 256, 1024
	mem := devices.NewMem(devices.MemOptions{Blocks: 8 << 30 / devices.BlockSize})
	mustFormat(b, hollow{mem})
	s := mustOpen(b, hollow{mem}, ebofs.Options{Inline: true})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	var ids [objects]ebofs.ObjectID
	data := make([]byte, blocks*devices.BlockSize)
	apply := func() {
		if err := s.Apply(bg, x); err != nil {
			b.Fatal(err)
		}
		x.Reset()
	}
	for i := range ids {
		ids[i] = obj(fmt.Sprint(i))
		x.Write("c", ids[i], 0, data)
		apply()
	}
	checkpoint := func() {
		if err := s.Checkpoint(bg); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	write := func(object, block int) {
		x.Write("c", ids[object], uint64(block)*devices.BlockSize, data[:devices.BlockSize])
		if n++; n%64 == 0 {
			apply()
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i, at := range rng.Perm(objects * blocks) { // every block is a run of its own
		write(at/blocks, at%blocks)
		if i%(objects*blocks/8) == 0 {
			checkpoint()
		}
	}
	checkpoint()
	const leaves = objects * leavesPerObject
	for _, hot := range []int{objects, objects / 10} {
		for _, each := range []float64{5, 1, 0.26, 0.05} {
			b.Run(fmt.Sprintf("of=%d/each=%v", hot, each), func(b *testing.B) {
				updates := max(int(each*float64(leaves)), 1)
				const rounds = 4
				before := s.Metrics().Written
				for range rounds {
					for range updates {
						write(rng.IntN(hot), rng.IntN(blocks))
					}
					apply()
					checkpoint()
				}
				w := s.Metrics().Written.Sub(before)
				b.ReportMetric(float64(w[ebofs.WriteTree])/float64(rounds*updates), "tree-B/op")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	if err := s.Close(bg); err != nil {
		b.Fatal(err)
	}
}

// The extents of a 4 MiB object each of whose blocks is a run of its own.
const (
	leavesPerObject = 3
	leafBytes       = 8 << 10
	innerBytes      = 4 << 10
	chunksPerLeaf   = 6    // rounded up from 16 chunks in three leaves
	chunkEntry      = 1320 // a whole record with its key
	blockEntry      = 40   // one block's address and checksum, and which it is
)

// carryModel counts what checkpoints write of so many leaves.
type carryModel struct {
	leaves  []carryLeaf
	entry   int // bytes of a carried entry
	most    int // bytes of entries from which on a leaf is written
	budget  int // bytes of all carried entries; 0: nothing is carried
	carried int
	segs    []carrySegment // oldest first
	gone    int            // segments dropped
	written int
}

type carryLeaf struct {
	pending [chunksPerLeaf]uint64 // blocks that are carried or new
	entries int32
	fresh   int32      // of them since the last checkpoint
	segs    []carryRef // where the others are
}

type carryRef struct{ seg, entries int32 }

type carrySegment struct {
	leaves      []int32
	bytes, live int
}

// update changes one block.
func (m *carryModel) update(leaf, chunk, block int) (first bool) {
	l := &m.leaves[leaf]
	first = l.fresh == 0
	old := l.pending[chunk]
	l.pending[chunk] |= 1 << block
	if m.entry == chunkEntry && old != 0 || l.pending[chunk] == old {
		l.fresh = max(l.fresh, 1) // replaces an entry
		return first
	}
	l.entries++
	l.fresh++
	return first
}

// reconcile writes a leaf; inner nodes are the caller's.
func (m *carryModel) reconcile(i int32, objects map[int32]struct{}) {
	l := &m.leaves[i]
	m.written += leafBytes
	objects[i/leavesPerObject] = struct{}{}
	for _, r := range l.segs {
		m.segs[int(r.seg)-m.gone].live -= int(r.entries) * m.entry
		m.carried -= int(r.entries) * m.entry
	}
	*l = carryLeaf{segs: l.segs[:0]}
}

// checkpoint writes or carries what the leaves of dirty have.
func (m *carryModel) checkpoint(dirty []int32) {
	objects := make(map[int32]struct{})
	var seg carrySegment
	id := int32(m.gone + len(m.segs))
	for _, i := range dirty {
		l := &m.leaves[i]
		if m.budget == 0 || int(l.entries)*m.entry >= m.most {
			m.reconcile(i, objects)
			continue
		}
		n := int(l.fresh) * m.entry
		seg.bytes += n
		seg.leaves = append(seg.leaves, i)
		l.segs = append(l.segs, carryRef{id, l.fresh})
		l.fresh = 0
	}
	seg.live = seg.bytes
	m.carried += seg.bytes
	m.written += seg.bytes
	m.segs = append(m.segs, seg)
	for n := 1 << 20; m.carried > m.budget; n = n / 2 { // the fattest first
		for i := range m.leaves {
			if l := &m.leaves[i]; len(l.segs) > 0 && int(l.entries) >= max(n, 1) && m.carried > m.budget {
				m.reconcile(int32(i), objects)
			}
		}
	}
	for len(m.segs) > 0 {
		s := &m.segs[0]
		if len(m.segs) <= 64 && s.live*4 >= s.bytes && s.live > 0 {
			break
		}
		for _, i := range s.leaves {
			if l := &m.leaves[i]; len(l.segs) > 0 && int(l.segs[0].seg) == m.gone {
				m.reconcile(i, objects)
			}
		}
		m.segs, m.gone = m.segs[1:], m.gone+1
	}
	m.written += len(objects) * innerBytes
}

// BenchmarkCarry is the model with checkpoints of 52,000 overwrites, half of what
// a store of the default 2 GiB of memory keeps in RAM.
func BenchmarkCarry(b *testing.B) {
	const updates, warm, rounds = 52000, 65, 130 // laps of the segments, whose ends come in bursts
	for _, leaves := range []int{10_000, 77_000, 200_000, 1_000_000} {
		for _, zipf := range []bool{false, true} {
			for _, entry := range []int{chunkEntry, blockEntry} {
				for _, mib := range []int{0, 64, 128, 512} {
					if mib == 0 && entry == blockEntry {
						continue // the same as with whole records
					}
					b.Run(fmt.Sprintf("leaves=%d/zipf=%v/entry=%d/MiB=%d", leaves, zipf, entry, mib), func(b *testing.B) {
						m := carryModel{leaves: make([]carryLeaf, leaves), entry: entry, most: leafBytes / 8, budget: mib << 20}
						if entry == chunkEntry {
							m.most = leafBytes / 2 // an eighth is less than one record
						}
						rng := rand.New(rand.NewPCG(1, 1))
						objects := uint64(leaves / leavesPerObject)
						z := rand.NewZipf(rng, 1.1, 8, objects-1)
						object := func() int {
							if zipf {
								return int(z.Uint64())
							}
							return int(rng.Uint64N(objects))
						}
						for range warm + rounds {
							var dirty []int32
							for range updates {
								leaf := object()*leavesPerObject + rng.IntN(leavesPerObject)
								if m.update(leaf, rng.IntN(chunksPerLeaf), rng.IntN(64)) {
									dirty = append(dirty, int32(leaf))
								}
							}
							if len(m.segs)+m.gone == warm {
								m.written = 0
							}
							m.checkpoint(dirty)
						}
						b.ReportMetric(float64(m.written)/float64(updates*rounds), "tree-B/op")
						b.ReportMetric(0, "ns/op")
					})
				}
			}
		}
	}
}
