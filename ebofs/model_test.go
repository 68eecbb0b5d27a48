package ebofs

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

var bg = context.Background()

var (
	seedCount = flag.Int("seeds", 0, "seeds of each random test; 0: a few")
	oneSeed   = flag.Int("seed", -1, "only this seed")
)

// eachSeed runs fn as a subtest for n seeds, or as the flags say. A failure is
// repeated by go test -run NAME -args -seed N.
func eachSeed(t *testing.T, n int, fn func(t *testing.T, seed uint64)) {
	first := 0
	if *seedCount > 0 {
		n = *seedCount
	}
	if testing.Short() {
		n = min(n, 2)
	}
	if *oneSeed >= 0 {
		first, n = *oneSeed, *oneSeed+1
	}
	for seed := first; seed < n; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			fn(t, uint64(seed))
		})
	}
}

const mainColl = CollectionID("c")

var mainSpec = CollSpec{Shard: -1, Pool: 1}

// idIn returns the object of that name in collection c: the tests' collections
// are mainColl and "p" with the number of a pool.
func idIn(c CollectionID, name string) ObjectID {
	pool := mainSpec.Pool
	if c != mainColl {
		fmt.Sscanf(string(c), "p%d", &pool)
	}
	return NewObjectID(pool, name)
}

// modelObject is what an object should be.
type modelObject struct {
	data        []byte
	attrs, omap map[string][]byte
	header      []byte
	hint        [3]uint64
}

// model is the plain picture of one collection, by object name.
type model map[string]*modelObject

// modelOp is one operation, for the store and for the model.
type modelOp struct {
	code        opCode
	name, to    string
	off, n      uint64
	toOff       uint64
	data        []byte
	kv          map[string][]byte
	keys        []string
	first, last string
}

func (o *modelOp) String() string {
	switch o.code {
	case opWrite:
		return fmt.Sprintf("write %s %d+%d", o.name, o.off, len(o.data))
	case opZero:
		return fmt.Sprintf("zero %s %d+%d", o.name, o.off, o.n)
	case opTruncate:
		return fmt.Sprintf("truncate %s %d", o.name, o.off)
	case opRename:
		return fmt.Sprintf("rename %s %s", o.name, o.to)
	case opClone:
		return fmt.Sprintf("clone %s %s", o.name, o.to)
	case opCloneRng:
		return fmt.Sprintf("clone %s %s %d+%d to %d", o.name, o.to, o.off, o.n, o.toOff)
	}
	return fmt.Sprintf("op%d %s keys=%d kv=%d [%q,%q)", o.code, o.name, len(o.keys), len(o.kv), o.first, o.last)
}

// txnOf builds the transaction of ops in collection c.
func txnOf(c CollectionID, ops []modelOp) *Txn {
	x := NewTxn()
	for i := range ops {
		o := &ops[i]
		id := idIn(c, o.name)
		switch o.code {
		case opTouch:
			x.Touch(c, id)
		case opWrite:
			x.Write(c, id, o.off, o.data)
		case opZero:
			x.Zero(c, id, o.off, o.n)
		case opTruncate:
			x.Truncate(c, id, o.off)
		case opRemove:
			x.Remove(c, id)
		case opSetAttrs:
			x.SetAttrs(c, id, o.kv)
		case opRmAttrs:
			if o.keys == nil {
				x.RmAttrs(c, id)
			}
			for _, k := range o.keys {
				x.RmAttr(c, id, k)
			}
		case opOmapSet:
			x.OmapSet(c, id, o.kv)
		case opOmapRm:
			x.OmapRm(c, id, o.keys)
		case opOmapRange:
			x.OmapRmRange(c, id, o.first, o.last)
		case opOmapClear:
			x.OmapClear(c, id)
		case opOmapHead:
			x.OmapSetHeader(c, id, o.data)
		case opHint:
			x.SetAllocHint(c, id, o.off, o.n, 7)
		case opRename:
			x.Rename(c, id, idIn(c, o.to))
		case opClone:
			x.Clone(c, id, idIn(c, o.to))
		case opCloneRng:
			x.CloneRange(c, id, idIn(c, o.to), o.off, o.n, o.toOff)
		default:
			panic(o.code)
		}
	}
	return x
}

// verdict returns the error the store should give, without changing the model.
func (m model) verdict(ops []modelOp) error {
	exists, sizes := map[string]bool{}, map[string]uint64{}
	for name, b := range m {
		exists[name], sizes[name] = true, uint64(len(b.data))
	}
	for i := range ops {
		o := &ops[i]
		if !o.code.creates() && !exists[o.name] {
			return ErrNotFound
		}
		switch o.code {
		case opRemove:
			delete(exists, o.name)
			delete(sizes, o.name)
		case opRename:
			if exists[o.to] {
				return ErrExists
			}
			delete(exists, o.name)
			exists[o.to] = true
			sizes[o.to] = sizes[o.name]
			delete(sizes, o.name)
		case opClone:
			exists[o.to], sizes[o.to] = true, sizes[o.name]
		case opCloneRng:
			if o.off+o.n > sizes[o.name] {
				return ErrInvalid
			}
			exists[o.to] = true
			if o.n > 0 {
				sizes[o.to] = max(sizes[o.to], o.toOff+o.n)
			}
		case opTruncate:
			sizes[o.name] = o.off
		case opWrite, opZero:
			exists[o.name] = true
			if n := max(o.n, uint64(len(o.data))); n > 0 {
				sizes[o.name] = max(sizes[o.name], o.off+n)
			}
		default:
			exists[o.name] = true
		}
	}
	return nil
}

// apply carries out ops that verdict allows.
func (m model) apply(ops []modelOp) {
	for i := range ops {
		m.applyOne(&ops[i])
	}
}

func (m model) applyOne(o *modelOp) {
	b := m[o.name]
	if b == nil {
		b = &modelObject{attrs: map[string][]byte{}, omap: map[string][]byte{}}
		m[o.name] = b
	}
	grow := func(n uint64) {
		if n > uint64(len(b.data)) {
			b.data = append(b.data, make([]byte, n-uint64(len(b.data)))...)
		}
	}
	switch o.code {
	case opWrite:
		if len(o.data) > 0 {
			grow(o.off + uint64(len(o.data)))
			copy(b.data[o.off:], o.data)
		}
	case opZero:
		if o.n > 0 {
			grow(o.off + o.n)
			clear(b.data[o.off : o.off+o.n])
		}
	case opTruncate:
		grow(o.off)
		b.data = b.data[:o.off:o.off]
	case opRemove:
		delete(m, o.name)
	case opSetAttrs:
		maps.Copy(b.attrs, o.kv)
	case opRmAttrs:
		if o.keys == nil {
			clear(b.attrs)
		}
		for _, k := range o.keys {
			delete(b.attrs, k)
		}
	case opOmapSet:
		maps.Copy(b.omap, o.kv)
	case opOmapRm:
		for _, k := range o.keys {
			delete(b.omap, k)
		}
	case opOmapRange:
		for k := range b.omap {
			if k >= o.first && (o.last == "" || k < o.last) {
				delete(b.omap, k)
			}
		}
	case opOmapClear:
		clear(b.omap)
		b.header = nil
	case opOmapHead:
		b.header = o.data
	case opHint:
		b.hint = [3]uint64{o.off, o.n, 7}
	case opRename:
		m[o.to] = b
		delete(m, o.name)
	case opClone:
		m[o.to] = b.clone()
	case opCloneRng:
		data := bytes.Clone(b.data[o.off : o.off+o.n])
		m.applyOne(&modelOp{code: opTouch, name: o.to})
		m.applyOne(&modelOp{code: opWrite, name: o.to, off: o.toOff, data: data})
	}
}

func (b *modelObject) clone() *modelObject {
	return &modelObject{bytes.Clone(b.data), maps.Clone(b.attrs), maps.Clone(b.omap), b.header, b.hint}
}

// clone returns a copy that later changes of m do not touch.
func (m model) clone() model {
	c := make(model, len(m))
	for name, b := range m {
		c[name] = b.clone()
	}
	return c
}

// generator draws operations that are likely to hurt: few objects, edges of
// blocks and chunks, changes of path.
type generator struct {
	*rand.Rand
	prefix  string
	names   int
	maxSize uint64 // of objects, about
	serial  byte
	only    func(*modelOp) bool // says whether an operation may be drawn now; nil: all
}

func (g *generator) name() string { return fmt.Sprint(g.prefix, "o", g.IntN(g.names)) }

// offset is biased to zero and to edges of blocks and chunks, one off included.
func (g *generator) offset() uint64 {
	var off uint64
	switch g.IntN(6) {
	case 0:
		return 0
	case 1:
		off = g.Uint64N(g.maxSize)
	case 2, 3:
		off = g.Uint64N(g.maxSize/blockSize+1) * blockSize
	case 4:
		off = g.Uint64N(g.maxSize/chunkBytes+1) * chunkBytes
	case 5:
		return g.Uint64N(3 * inlineBytes)
	}
	switch g.IntN(4) {
	case 0:
		off++
	case 1:
		if off > 0 {
			off--
		}
	}
	return off
}

func (g *generator) length() uint64 {
	switch g.IntN(8) {
	case 0:
		return 1 + g.Uint64N(64)
	case 1:
		return 1 + g.Uint64N(inlineBytes)
	case 2:
		return 1 + g.Uint64N(6*blockSize)
	case 3, 4:
		return blockSize * (1 + g.Uint64N(4))
	case 5:
		return directMin + g.Uint64N(directMin)
	case 6:
		return blockSize * (directMin/blockSize + g.Uint64N(40))
	default:
		return chunkBytes - 2*blockSize + g.Uint64N(4*blockSize)
	}
}

// bytes are never zero, so that they differ from holes.
func (g *generator) bytes(n uint64) []byte {
	p := make([]byte, n)
	g.serial++
	x := g.Uint32() | 1
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x>>24) | 1
	}
	if n > 0 {
		p[0] = g.serial | 1
	}
	return p
}

func (g *generator) pairs(prefix string, most, space int) map[string][]byte {
	kv := map[string][]byte{}
	for range 1 + g.IntN(most) {
		n := g.Uint64N(60)
		if g.IntN(12) == 0 {
			n = g.Uint64N(9000) // sometimes out of line
		}
		kv[g.key(prefix, space)] = g.bytes(n)
	}
	return kv
}

func (g *generator) key(prefix string, space int) string {
	return fmt.Sprintf("%s%04d", prefix, g.IntN(space))
}

func (g *generator) op() modelOp {
	o := modelOp{name: g.name()}
	switch k := g.IntN(46); {
	case k < 14:
		o.code, o.off = opWrite, g.offset()
		o.data = g.bytes(g.length())
	case k < 18:
		o.code, o.off, o.n = opZero, g.offset(), g.length()
		if g.IntN(3) == 0 { // whole chunks
			o.off, o.n = g.Uint64N(4)*chunkBytes, (1+g.Uint64N(3))*chunkBytes
		}
	case k < 22:
		o.code, o.off = opTruncate, g.offset()
	case k < 24:
		o.code = opRemove
	case k < 26:
		o.code, o.to = opRename, g.name()
		for o.to == o.name {
			o.to = g.name()
		}
	case k < 27:
		o.code = opTouch
	case k < 29:
		o.code, o.kv = opSetAttrs, g.pairs("a", 3, 6)
	case k < 30:
		o.code = opRmAttrs
		if g.IntN(3) > 0 {
			o.keys = []string{g.key("a", 6)}
		}
	case k < 34:
		o.code, o.kv = opOmapSet, g.pairs("k", 30, 300)
	case k < 35:
		o.code = opOmapRm
		for range 1 + g.IntN(8) {
			o.keys = append(o.keys, g.key("k", 300))
		}
	case k < 37:
		o.code = opOmapRange
		o.first, o.last = g.key("k", 300), g.key("k", 300)
		if g.IntN(4) == 0 {
			o.first = ""
		}
		if g.IntN(4) == 0 {
			o.last = ""
		}
	case k < 38:
		o.code = opOmapClear
	case k < 39:
		o.code, o.data = opOmapHead, g.bytes(1+g.Uint64N(40))
	case k < 40:
		o.code, o.off, o.n = opHint, 1<<22, 4096
	case k < 43:
		o.code, o.to = opClone, g.name()
		for o.to == o.name {
			o.to = g.name()
		}
	default:
		g.cloneRange(&o)
	}
	return o
}

// cloneRange makes o the clone of a range, mostly one that keeps its place in a
// block.
func (g *generator) cloneRange(o *modelOp) {
	o.code, o.to = opCloneRng, g.name()
	o.off, o.n, o.toOff = g.offset(), g.length(), g.offset()
	if g.IntN(4) > 0 {
		o.toOff = o.toOff&^(blockSize-1) | o.off&(blockSize-1)
	}
	if o.to == o.name && o.off < o.toOff+o.n && o.toOff < o.off+o.n {
		o.toOff = o.off + o.n
	}
}

// txn draws a transaction; most of what it does is allowed.
func (g *generator) txn(m model) []modelOp {
	var ops []modelOp
	for range 1 + g.IntN(3) {
		for range 4 {
			o := g.op()
			for g.only != nil && !g.only(&o) {
				o = g.op()
			}
			if g.IntN(20) == 0 || m.verdict(append(slices.Clip(ops), o)) == nil {
				ops = append(ops, o)
				break
			}
		}
	}
	return ops
}

// step applies a random transaction to store and model and compares the verdicts.
func (g *generator) step(t testing.TB, s *Store, m model) []modelOp {
	t.Helper()
	ops := g.txn(m)
	want := m.verdict(ops)
	if err := s.Apply(bg, txnOf(mainColl, ops)); !errors.Is(err, want) {
		t.Fatalf("%v: %v, want %v", opList(ops), err, want)
	}
	if want == nil {
		m.apply(ops)
	}
	return ops
}

func opList(ops []modelOp) string {
	var list []string
	for i := range ops {
		list = append(list, ops[i].String())
	}
	return strings.Join(list, "; ")
}

// compare says where the collection of s differs from m.
func compare(s *Store, c CollectionID, m model) error {
	var names []string
	for start := (*ObjectID)(nil); ; {
		list, next, err := s.List(bg, c, start, nil, 5)
		if err != nil {
			return err
		}
		for i := range list {
			names = append(names, list[i].Name)
		}
		if start = next; next == nil {
			break
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(m)); !slices.Equal(names, want) {
		return fmt.Errorf("listed %v, want %v", names, want)
	}
	for _, name := range names {
		if err := compareObject(s, c, name, m[name]); err != nil {
			return fmt.Errorf("object %s: %w", name, err)
		}
	}
	return nil
}

func compareObject(s *Store, c CollectionID, name string, b *modelObject) error {
	id := idIn(c, name)
	st, err := s.Stat(bg, c, id)
	if err != nil {
		return err
	}
	if st.Size != uint64(len(b.data)) {
		return fmt.Errorf("size %d, want %d", st.Size, len(b.data))
	}
	if got := [3]uint64{st.HintObject, st.HintWrite, uint64(st.HintFlags)}; got != b.hint {
		return fmt.Errorf("hint %v, want %v", got, b.hint)
	}
	got := make([]byte, len(b.data)+10)
	n, err := s.Read(bg, c, id, 0, got)
	if err != nil {
		return err
	}
	if i := firstDiff(got[:n], b.data); i >= 0 {
		return fmt.Errorf("%d bytes, want %d; byte %d (chunk %d block %d) is %x, want %x", n, len(b.data), i, i>>chunkShift, i>>blockShift, at(got[:n], i), at(b.data, i))
	}
	attrs, err := s.GetAttrs(bg, c, id)
	if err != nil {
		return err
	}
	if !maps.EqualFunc(attrs, b.attrs, bytes.Equal) {
		return fmt.Errorf("attrs %v, want %v", slices.Sorted(maps.Keys(attrs)), slices.Sorted(maps.Keys(b.attrs)))
	}
	header, err := s.OmapHeader(bg, c, id)
	if err != nil {
		return err
	}
	if !bytes.Equal(header, b.header) {
		return fmt.Errorf("header %x, want %x", header, b.header)
	}
	omap := map[string][]byte{}
	last := ""
	err = s.OmapIter(bg, c, id, "", "", func(key, v []byte) bool {
		k := string(key)
		if k <= last && last != "" {
			last = "out of order: " + k
			return false
		}
		last, omap[k] = k, bytes.Clone(v)
		return true
	})
	if err != nil {
		return err
	}
	if !maps.EqualFunc(omap, b.omap, bytes.Equal) {
		return fmt.Errorf("omap %v, want %v", slices.Sorted(maps.Keys(omap)), slices.Sorted(maps.Keys(b.omap)))
	}
	return compareMap(s, c, id, b)
}

// compareMap checks that whatever is not zero lies in an extent of Fiemap.
func compareMap(s *Store, c CollectionID, id ObjectID, b *modelObject) error {
	ext, err := s.Fiemap(bg, c, id, 0, 1<<40)
	if err != nil {
		return err
	}
	at := uint64(0)
	for _, e := range append(ext, FiemapExtent{uint64(len(b.data)), 0}) {
		if e.Offset < at || e.Offset+e.Length > uint64(len(b.data)) {
			return fmt.Errorf("extent %v after %d of %d bytes", e, at, len(b.data))
		}
		if i := firstDiff(b.data[at:e.Offset], make([]byte, e.Offset-at)); i >= 0 {
			return fmt.Errorf("byte %d is not zero and lies in no extent of %v", at+uint64(i), ext)
		}
		at = e.Offset + e.Length
	}
	return nil
}

func at(p []byte, i int) byte {
	if i < len(p) {
		return p[i]
	}
	return 0
}

// firstDiff returns where a and b differ first, -1 if they are equal.
func firstDiff(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func mustCompare(t testing.TB, s *Store, m model) {
	t.Helper()
	if err := compare(s, mainColl, m); err != nil {
		t.Fatal(err)
	}
}

func newMem(mib uint64) *devices.Mem {
	return devices.NewMem(devices.MemOptions{Blocks: mib << 20 / blockSize})
}

func format(t testing.TB, dev devices.Device, o FormatOptions) Info {
	t.Helper()
	info, err := Format(bg, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func open(t testing.TB, dev devices.Device, o Options) *Store {
	t.Helper()
	if o.MemoryBytes == 0 {
		o.MemoryBytes = minMemory
	}
	s, err := Open(bg, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
}

func apply(t testing.TB, s *Store, fn func(x *Txn)) {
	t.Helper()
	x := NewTxn()
	fn(x)
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
}

func mustCheckpoint(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
}

func oid(name string) ObjectID { return NewObjectID(mainSpec.Pool, name) }

// newStore formats dev and opens it with one collection.
func newStore(t testing.TB, dev devices.Device, f FormatOptions, o Options) *Store {
	t.Helper()
	format(t, dev, f)
	s := open(t, dev, o)
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	return s
}

// fsck fails if a deep check of dev finds anything.
func fsck(t testing.TB, dev devices.Device) *check.Report {
	t.Helper()
	r, err := check.Run(bg, dev, check.Options{Level: check.Deep, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Problems {
		t.Error(r.Problems[i].String())
	}
	if t.Failed() || !r.Complete {
		t.Fatalf("store is damaged: %+v", r.Counts)
	}
	return r
}

// checkSpace compares the store's own counts with each other.
func checkSpace(t testing.TB, s *Store) {
	t.Helper()
	st, err := s.Statfs()
	if err != nil {
		t.Fatal(err)
	}
	if st.Total != st.Used+st.Free+st.Limbo+st.Kept || st.Used > st.Total || st.Available > st.Free {
		t.Fatalf("space does not add up: %+v", st)
	}
	sp := s.space
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if err := sp.a.Check(); err != nil {
		t.Fatal(err)
	}
	stashed := uint64(0)
	for _, e := range sp.stash {
		stashed += e.Blocks
	}
	if stashed != sp.stashed || stashed > sp.reserve+layout.MaxRootBlocks {
		t.Fatalf("stash holds %d blocks, counted %d, wanted %d", stashed, sp.stashed, sp.reserve)
	}
}

// free returns the free blocks of a fresh mount of dev.
func freeBlocks(t testing.TB, dev devices.Device) uint64 {
	t.Helper()
	s := open(t, dev, Options{ReadOnly: true})
	defer closeStore(t, s)
	st, err := s.Statfs()
	if err != nil {
		t.Fatal(err)
	}
	if st.Limbo != 0 {
		t.Fatalf("limbo of a fresh mount: %+v", st)
	}
	return st.Free / blockSize
}

// checkLeaks compares what the store counts as used with what a mount of the
// same device finds: with no transaction since the last checkpoint, and none
// running, they are equal.
func checkLeaks(t testing.TB, s *Store, mem *devices.Mem) {
	t.Helper()
	s.ckptMu.Lock()
	n := s.space.counts()
	image := mem.Snapshot()
	s.ckptMu.Unlock()
	if want := freeBlocks(t, image); n.free+n.limbo != want {
		t.Fatalf("%d blocks are free or in limbo, a mount finds %d", n.free+n.limbo, want)
	}
}
