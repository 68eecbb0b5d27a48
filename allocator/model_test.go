package allocator

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the plainest allocator there is, one byte of state a block, and a
// caller of the real one: it has a device with zone bitmaps, loads zones that
// are asked for, takes checkpoints and crashes. Positions are blocks since
// Config.First.
type model struct {
	cfg Config
	a   *Allocator

	state   []byte   // free, used, limbo
	freedIn []uint64 // epoch of a block in limbo
	epoch   uint64   // open

	bitmaps   [][]uint64 // on the device, nil: never written, all free
	summaries []ZoneSummary
	ops       int
}

const (
	mFree  = byte(0)
	mUsed  = byte(1)
	mLimbo = byte(2)
)

// tb is what rapid, fuzzing and plain tests have in common.
type tb interface {
	Helper()
	Fatalf(string, ...any)
}

func newModel(t tb, cfg Config) *model {
	a, err := New(cfg, nil)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	m := &model{
		cfg: cfg, a: a, epoch: 1,
		state:   make([]byte, cfg.Blocks),
		freedIn: make([]uint64, cfg.Blocks),
		bitmaps: make([][]uint64, a.Zones()),
	}
	for i := range a.Zones() {
		m.summaries = append(m.summaries, a.Summary(i))
	}
	return m
}

// at returns the extent of model positions.
func (m *model) at(pos, n uint64) Extent { return Extent{m.cfg.First + pos, n} }

// each returns the states of an extent.
func (m *model) each(e Extent) []byte { return m.state[e.Start-m.cfg.First:][:e.Blocks] }

func (m *model) count(s byte) (n uint64) {
	for _, x := range m.state {
		if x == s {
			n++
		}
	}
	return n
}

// stripes calls fn for each whole stripe of the device, in model positions.
func (m *model) stripes(fn func(pos uint64, zone int)) {
	s := uint64(m.cfg.StripeBlocks)
	for z := range m.a.Zones() {
		e := m.a.ZoneExtent(z)
		for b := e.Start; b+s <= e.End(); b++ {
			if b%s == m.cfg.AlignBlocks%s {
				fn(b-m.cfg.First, z)
			}
		}
	}
}

func (m *model) stripeFree(pos uint64) bool {
	return !slices.ContainsFunc(m.state[pos:pos+uint64(m.cfg.StripeBlocks)], func(b byte) bool { return b != mFree })
}

func (m *model) freeStripes() (n uint64) {
	m.stripes(func(pos uint64, _ int) {
		if m.stripeFree(pos) {
			n++
		}
	})
	return n
}

// longestRun returns the longest free run of blocks inside one zone.
func (m *model) longestRun() (most uint64) {
	for z := range m.a.Zones() {
		n := uint64(0)
		for _, s := range m.each(m.a.ZoneExtent(z)) {
			if n++; s != mFree {
				n = 0
			}
			most = max(most, n)
		}
	}
	return most
}

// load answers NeedZone from the device, as the engine does.
func (m *model) load(t tb, err error) bool {
	t.Helper()
	var need NeedZone
	if !errors.As(err, &need) {
		return false
	}
	bm := m.bitmaps[need.Zone]
	if bm == nil {
		bm = make([]uint64, wordsFor(m.a.zoneBlocks(need.Zone)))
	}
	if err := m.a.Load(need.Zone, bm); err != nil {
		t.Fatalf("load: %v\n%v", err, m.a)
	}
	return true
}

// took checks what an allocation returned and notes it.
func (m *model) took(t tb, class Class, out []Extent, want uint64) {
	t.Helper()
	var sum uint64
	for _, e := range out {
		sum += e.Blocks
		if e.Blocks == 0 || !m.a.inZones(e) {
			t.Fatalf("got %v of %v", e, out)
		}
		for _, s := range m.each(e) {
			if s != mFree {
				t.Fatalf("got %v, which has a block in state %d (I1)", e, s)
			}
		}
		if s := uint64(m.cfg.StripeBlocks); m.cfg.Hard &&
			(e.Start%s != m.cfg.AlignBlocks%s || e.Blocks%s != 0) {
			t.Fatalf("got %v for %v, which splits stripes (I3)", e, class)
		}
		for i := range m.each(e) {
			m.each(e)[i] = mUsed
		}
	}
	if sum != want {
		t.Fatalf("got %v, %d blocks, want %d", out, sum, want)
	}
}

func (m *model) alloc(t tb, class Class, blocks int, hint uint64) {
	var out []Extent
	var err error
	for out, err = m.a.Alloc(class, blocks, hint, nil); m.load(t, err); {
		out, err = m.a.Alloc(class, blocks, hint, nil)
	}
	s := int(m.cfg.StripeBlocks)
	room := uint64(blocks) <= m.count(mFree)
	if m.cfg.Hard {
		if blocks%s != 0 {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("alloc of %d blocks in stripes of %d: %v", blocks, s, err)
			}
			return
		}
		room = uint64(blocks/s) <= m.freeStripes()
	}
	m.verdict(t, err, room)
	if err == nil {
		m.took(t, class, out, uint64(blocks))
	}
}

func (m *model) allocStripes(t tb, class Class, blocks int, hint uint64) {
	var out []Extent
	var err error
	for out, err = m.a.AllocStripes(class, blocks, hint); m.load(t, err); {
		out, err = m.a.AllocStripes(class, blocks, hint)
	}
	s := int(m.cfg.StripeBlocks)
	n := (blocks + s - 1) / s
	m.verdict(t, err, uint64(n) <= m.freeStripes())
	for _, e := range out {
		if e.Start%uint64(s) != m.cfg.AlignBlocks%uint64(s) || e.Blocks%uint64(s) != 0 {
			t.Fatalf("got %v, no whole stripes", e)
		}
	}
	if err == nil {
		m.took(t, class, out, uint64(n*s))
	}
}

func (m *model) allocRun(t tb, class Class, least, most int, hint uint64) {
	var e Extent
	var err error
	for e, err = m.a.AllocRun(class, least, most, hint); m.load(t, err); {
		e, err = m.a.AllocRun(class, least, most, hint)
	}
	if m.cfg.Hard {
		if err == nil {
			m.took(t, class, []Extent{e}, e.Blocks)
		}
		return
	}
	m.verdict(t, err, uint64(least) <= m.longestRun())
	if err == nil {
		if e.Blocks < uint64(least) || e.Blocks > uint64(most) {
			t.Fatalf("got %v, want %d..%d blocks", e, least, most)
		}
		m.took(t, class, []Extent{e}, e.Blocks)
	}
}

// verdict checks that an allocation failed exactly if there is no room.
func (m *model) verdict(t tb, err error, room bool) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrNoSpace) || (err == nil) != room {
		t.Fatalf("room %v, got %v\n%v", room, err, m.a)
	}
}

// known reports whether every zone of e is loaded, so that errors must show.
func (m *model) known(e Extent) bool {
	for z := m.a.ZoneOf(e.Start); z <= m.a.ZoneOf(e.End()-1); z++ {
		if !m.a.Loaded(z) {
			return false
		}
	}
	return true
}

// prefix returns how many blocks from pos on are in state s, at most n.
func (m *model) prefix(pos, n uint64, s byte) uint64 {
	var k uint64
	for k < n && pos+k < m.cfg.Blocks && m.state[pos+k] == s {
		k++
	}
	return k
}

func (m *model) free(t tb, pos, n, epoch uint64) {
	n = min(n, m.cfg.Blocks-pos)
	e := m.at(pos, n)
	good := m.prefix(pos, n, mUsed) == n
	if !good && !m.known(e) {
		return
	}
	err := m.a.Free(e, epoch)
	if (err == nil) != good || err != nil && !errors.Is(err, ErrNotUsed) {
		t.Fatalf("free %v: %v, want success %v\n%v", e, err, good, m.a)
	}
	if good {
		for i := pos; i < pos+n; i++ {
			m.state[i], m.freedIn[i] = mLimbo, epoch
		}
	}
}

func (m *model) release(t tb, pos, n uint64) {
	n = min(n, m.cfg.Blocks-pos)
	e := m.at(pos, n)
	good := m.prefix(pos, n, mUsed) == n
	if !good && !m.known(e) {
		return
	}
	if err := m.a.Release(e); (err == nil) != good || err != nil && !errors.Is(err, ErrNotUsed) {
		t.Fatalf("release %v: %v, want success %v\n%v", e, err, good, m.a)
	}
	if good {
		clear(m.each(e))
	}
}

func (m *model) mark(t tb, pos, n uint64) {
	n = min(n, m.cfg.Blocks-pos)
	e := m.at(pos, n)
	good := m.prefix(pos, n, mFree) == n
	if !good && !m.known(e) {
		return
	}
	if err := m.a.MarkUsed(e); (err == nil) != good || err != nil && !errors.Is(err, ErrUsed) {
		t.Fatalf("mark %v: %v, want success %v\n%v", e, err, good, m.a)
	}
	if good {
		for i := range m.each(e) {
			m.each(e)[i] = mUsed
		}
	}
}

// checkpoint writes the bitmaps of the open epoch but for the blocks of except
// and opens the next epoch. during runs between the snapshot and Durable.
func (m *model) checkpoint(t tb, except []Extent, during func()) {
	e := m.epoch
	m.epoch++
	type image struct {
		bitmap  []uint64
		summary ZoneSummary
	}
	images := map[int]image{}
	for _, z := range m.a.Changed(nil) {
		bm, sum, err := m.a.Snapshot(z, e, nil, except)
		for m.load(t, err) {
			bm, sum, err = m.a.Snapshot(z, e, nil, except)
		}
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		images[z] = image{bm, sum}
	}
	m.checkImages(t, e, except, func(z int) []uint64 {
		if im, ok := images[z]; ok {
			return im.bitmap
		}
		return m.bitmaps[z]
	})
	during()
	for z, im := range images {
		m.bitmaps[z], m.summaries[z] = im.bitmap, im.summary
	}
	released := m.a.Durable(e)
	var want []Extent
	for i := range m.state {
		if m.state[i] == mLimbo && m.freedIn[i] <= e {
			m.state[i] = mFree
			want = appendExtent(want, m.at(uint64(i), 1))
		}
	}
	if !slices.Equal(released, want) {
		t.Fatalf("durable %d released %v, want %v", e, released, want)
	}
}

// checkImages compares the bitmaps of a checkpoint with the model.
func (m *model) checkImages(t tb, epoch uint64, except []Extent, image func(int) []uint64) {
	for z := range m.a.Zones() {
		e := m.a.ZoneExtent(z)
		bm := image(z)
		for i, s := range m.each(e) {
			b := e.Start + uint64(i)
			want := s == mUsed || s == mLimbo && m.freedIn[b-m.cfg.First] > epoch
			for _, x := range except {
				want = want && (b < x.Start || b >= x.End())
			}
			if got := bm != nil && bm[i/64]>>(i%64)&1 != 0; got != want {
				t.Fatalf("bitmap of epoch %d, block %d: %v, want %v", epoch, b, got, want)
			}
		}
	}
}

// evict drops every zone it may.
func (m *model) evict(t tb) {
	for z := range m.a.Zones() {
		if err := m.a.Evict(z); err != nil && !errors.Is(err, ErrBusy) {
			t.Fatalf("evict: %v", err)
		}
	}
}

// crash starts again from what the device says.
func (m *model) crash(t tb) {
	a, err := New(m.cfg, m.summaries)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	m.a, m.epoch = a, 1
	for z := range a.Zones() {
		for i := range m.each(a.ZoneExtent(z)) {
			m.each(a.ZoneExtent(z))[i] = mFree
			if bm := m.bitmaps[z]; bm != nil && bm[i/64]>>(i%64)&1 != 0 {
				m.each(a.ZoneExtent(z))[i] = mUsed
			}
		}
	}
}

// check compares all counts (I2, I5).
func (m *model) check(t tb) {
	t.Helper()
	m.ops++
	if err := m.a.Check(); err != nil {
		t.Fatalf("%v", err)
	}
	a := m.a
	if f, l, u := m.count(mFree), m.count(mLimbo), m.count(mUsed); a.FreeBlocks() != f || a.LimboBlocks() != l || a.UsedBlocks() != u {
		t.Fatalf("free %d limbo %d used %d, want %d %d %d\n%v", a.FreeBlocks(), a.LimboBlocks(), a.UsedBlocks(), f, l, u, a)
	}
	known := a.Histogram().UnknownBlocks
	for _, n := range a.Histogram().Blocks {
		known += n
	}
	if known != a.FreeBlocks() {
		t.Fatalf("histogram of %d blocks, want %d", known, a.FreeBlocks())
	}
	perZone := make([]uint32, a.Zones())
	m.stripes(func(pos uint64, z int) {
		if m.stripeFree(pos) {
			perZone[z]++
		}
	})
	for z, n := range perZone {
		if got := a.Summary(z).FreeStripes; got > n || a.Loaded(z) && got != n {
			t.Fatalf("zone %d: %d free stripes, want %d", z, got, n)
		}
	}
}

// step draws one operation and does it.
func (m *model) step(t tb, draw func(n int) int) {
	m.stepNoCheckpoint(t, draw, draw(12+draw(8)/7))
	m.check(t)
}

func (m *model) stepNoCheckpoint(t tb, draw func(n int) int, op int) {
	pos := func() uint64 { return uint64(draw(int(m.cfg.Blocks))) }
	class := func() Class { return Class(draw(classes)) }
	hint := func() uint64 {
		if draw(3) == 0 {
			return m.cfg.First + pos()
		}
		return 0
	}
	s := int(m.cfg.StripeBlocks)
	switch op {
	case 0, 1:
		n := 1 + draw(3*s)
		if m.cfg.Hard && draw(4) != 0 {
			n = (n + s - 1) / s * s
		}
		m.alloc(t, class(), n, hint())
	case 2:
		m.allocStripes(t, class(), 1+draw(4*s), hint())
	case 3:
		least := 1 + draw(s)
		m.allocRun(t, class(), least, least+draw(2*s), hint())
	case 4, 5, 6:
		m.free(t, pos(), uint64(1+draw(2*s)), m.epoch+uint64(draw(2)))
	case 7:
		m.release(t, pos(), uint64(1+draw(s)))
	case 8:
		m.mark(t, pos(), uint64(1+draw(s)))
	case 9:
		m.checkpoint(t, nil, func() {})
	case 10:
		// Blocks taken while the checkpoint runs, or named by the root record,
		// are not in its bitmaps.
		m.checkpoint(t, m.draws(draw), func() {
			for range draw(3) {
				m.stepNoCheckpoint(t, draw, draw(9))
			}
		})
	case 11:
		m.evict(t)
	case 12:
		m.grow(t, uint64(draw(2*int(m.cfg.ZoneBlocks))))
	}
}

// grow appends n free blocks; the device's bitmaps become as long as their zones.
func (m *model) grow(t tb, n uint64) {
	m.cfg.Blocks += n
	if err := m.a.Grow(m.cfg.Blocks); err != nil {
		t.Fatalf("grow by %d: %v", n, err)
	}
	m.state = append(m.state, make([]byte, n)...)
	m.freedIn = append(m.freedIn, make([]uint64, n)...)
	had := len(m.bitmaps)
	for z := had - 1; z < m.a.Zones(); z++ {
		if z >= had {
			m.bitmaps, m.summaries = append(m.bitmaps, nil), append(m.summaries, ZoneSummary{})
		}
		bm := m.bitmaps[z]
		if bm != nil {
			bm = append(bm, make([]uint64, wordsFor(m.a.zoneBlocks(z))-len(bm))...)
			m.bitmaps[z] = bm
		} else {
			bm = make([]uint64, wordsFor(m.a.zoneBlocks(z)))
		}
		body := &zoneBody{blocks: m.a.zoneBlocks(z), stripes: m.a.zoneStripes(z)}
		m.summaries[z] = m.a.summarize(body, bm) // as the grow's checkpoint writes it
	}
}

// draws returns up to two used extents of changed zones, sorted: what a
// checkpoint leaves out was given out since the one before.
func (m *model) draws(draw func(int) int) []Extent {
	var out []Extent
	changed := m.a.Changed(nil)
	for pos := uint64(draw(int(m.cfg.Blocks))); pos < m.cfg.Blocks && len(out) < 2; pos++ {
		if n := m.prefix(pos, 4, mUsed); n > 0 && slices.Contains(changed, m.a.ZoneOf(m.cfg.First+pos)) &&
			slices.Contains(changed, m.a.ZoneOf(m.cfg.First+pos+n-1)) {
			out = append(out, m.at(pos, n))
			pos += n + uint64(draw(20))
		}
	}
	return out
}

// modelConfigs are geometries with edges, odd stripes and short last zones.
var modelConfigs = []Config{
	{First: 0, Blocks: 256, ZoneBlocks: 64, StripeBlocks: 16},
	{First: 1280, Blocks: 210, ZoneBlocks: 60, StripeBlocks: 6, AlignBlocks: 3},
	{First: 7, Blocks: 131, ZoneBlocks: 128, StripeBlocks: 4},
	{First: 32, Blocks: 400, ZoneBlocks: 80, StripeBlocks: 8, AlignBlocks: 5, Hard: true},
	{First: 5, Blocks: 96, ZoneBlocks: 96, StripeBlocks: 96, Hard: true},
	{First: 64, Blocks: 320, ZoneBlocks: 64, StripeBlocks: 4, Hard: true},
	{First: 1, Blocks: 50, ZoneBlocks: 10, StripeBlocks: 1},
}

// TestModel compares the allocator with a byte a block, over loads, evictions,
// checkpoints and crashes.
func TestModel(t *testing.T) {
	for _, cfg := range modelConfigs {
		rapid.Check(t, func(t *rapid.T) {
			m := newModel(t, cfg)
			draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
			for range rapid.IntRange(1, 150).Draw(t, "steps") {
				if draw(40) == 0 {
					m.crash(t)
				}
				m.step(t, draw)
			}
		})
	}
}

// FuzzModel is TestModel steered by the fuzzer: one byte a decision.
func FuzzModel(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"))
	f.Add([]byte("\x01allocate, free, checkpoint and do it again until it is full"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > 1024 {
			return
		}
		m := newModel(t, modelConfigs[int(in[0])%len(modelConfigs)])
		in = in[1:]
		draw := func(n int) int {
			x := 0
			for k := 1; k < n && len(in) > 0; k *= 256 {
				x, in = x<<8|int(in[0]), in[1:]
			}
			return x % n
		}
		for len(in) > 0 {
			if draw(40) == 39 {
				m.crash(t)
			}
			m.step(t, draw)
		}
	})
}
