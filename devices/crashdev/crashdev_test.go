package crashdev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"ebofs/devices"
)

const bs = devices.BlockSize

var ctx = context.Background()

// block returns one aligned block of byte x.
func block(pool *devices.Pool, n int, x byte) *devices.Frame {
	f := pool.Get(n * bs)
	for i := range f.Bytes() {
		f.Bytes()[i] = x
	}
	return f
}

func newPool(t testing.TB) *devices.Pool {
	p := devices.NewPool(devices.PoolOptions{})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func put(t testing.TB, d devices.Device, pool *devices.Pool, b devices.Block, n int, x byte) {
	t.Helper()
	f := block(pool, n, x)
	defer f.Release()
	if err := d.Write(ctx, b, f.Vec()); err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, d devices.Device, pool *devices.Pool) []byte {
	t.Helper()
	f := pool.Get(int(d.Geometry().Blocks) * bs)
	defer f.Release()
	if err := d.Read(ctx, 0, f.Vec()); err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), f.Bytes()...)
}

// firsts returns the first byte of every block.
func firsts(p []byte) string {
	s := make([]byte, 0, len(p)/bs)
	for i := 0; i < len(p); i += bs {
		s = append(s, '0'+p[i])
	}
	return string(s)
}

// TestSubsets runs random writes, zeroes and flushes and compares, at every
// point, the set of states without torn writes with the set that follows from
// the contract (I1, I2).
func TestSubsets(t *testing.T) {
	pool := newPool(t)
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 0))
		d := New(devices.NewMem(devices.MemOptions{Blocks: 6}))
		type change struct{ b, n, x int }
		durable, pending := make([]byte, 6), []change(nil)
		check := func() {
			t.Helper()
			want := map[string]bool{}
			for set := range 1 << len(pending) {
				img := append([]byte(nil), durable...)
				for i, c := range pending {
					for b := c.b; set>>i&1 == 1 && b < c.b+c.n; b++ {
						img[b] = byte(c.x)
					}
				}
				want[firsts2(img)] = true
			}
			p := d.Points()[len(d.Points())-1]
			n := 0
			for s := range d.States(p, Policy{NoTorn: true}) {
				got := firsts(content(t, s, pool))
				if !want[got] {
					t.Fatalf("seed %d, %v: image %s cannot be", seed, s, got)
				}
				n++
			}
			if n != len(want) {
				t.Fatalf("seed %d, %v: %d images, want %d", seed, p, n, len(want))
			}
		}
		for range 25 {
			b := r.IntN(6)
			n := 1 + r.IntN(min(3, 6-b))
			switch k := r.IntN(8); {
			case k < 5 && len(pending) < 7:
				x := 1 + r.IntN(5)
				put(t, d, pool, devices.Block(b), n, byte(x))
				pending = append(pending, change{b, n, x})
			case k < 6 && len(pending) < 7:
				if err := d.Zero(ctx, devices.Block(b), uint64(n)); err != nil {
					t.Fatal(err)
				}
				pending = append(pending, change{b, n, 0})
			case k == 7:
				if err := d.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				for _, c := range pending {
					for b := c.b; b < c.b+c.n; b++ {
						durable[b] = byte(c.x)
					}
				}
				pending = nil
			default:
				continue
			}
			check()
		}
	}
}

func firsts2(img []byte) string {
	s := make([]byte, len(img))
	for i, x := range img {
		s[i] = '0' + x
	}
	return string(s)
}

// TestOldPoints: the states of a point do not depend on what came later.
func TestOldPoints(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 8}))
	images := func(p Point) (all []string) {
		for s := range d.States(p, Policy{Seed: 5}) {
			all = append(all, fmt.Sprint(s.Hash(), s))
		}
		return all
	}
	var then [][]string
	for i := range 12 {
		if i%5 == 4 {
			if err := d.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		} else {
			put(t, d, pool, devices.Block(i%7), 2, byte(i+1))
		}
		then = append(then, images(d.Points()[i]))
	}
	for i, p := range d.Points() {
		if now := images(p); strings.Join(now, "\n") != strings.Join(then[i], "\n") {
			t.Errorf("%v: states changed afterwards", p)
		}
	}
}

// TestTorn: a torn write leaves every sector old, new, or one of them noise,
// and touches nothing else.
func TestTorn(t *testing.T) {
	pool := newPool(t)
	for _, tear := range []int{512, 1024, 4096, 16384} {
		g := devices.DefaultGeometry(64)
		g.TearBytes = uint32(tear)
		base := devices.NewMem(devices.MemOptions{Geometry: &g})
		put(t, base, pool, 0, 64, 1)
		for _, n := range []int{1, 3, 40} {
			d := New(base)
			put(t, d, pool, 5, n, 2)
			mixed := 0
			for s := range d.States(d.Now(), Policy{}) {
				p := content(t, s, pool)
				old, now, bad := 0, 0, 0
				for at := 0; at < len(p); {
					end := min(at-at%tear+tear, len(p))
					if at < 5*bs {
						end = min(end, 5*bs)
					} else if at < (5+n)*bs {
						end = min(end, (5+n)*bs)
					}
					in := at >= 5*bs && at < (5+n)*bs
					switch string(p[at:end]) {
					case strings.Repeat("\x01", end-at):
						if in {
							old++
						}
					case strings.Repeat("\x02", end-at):
						now++
						if !in {
							t.Fatalf("tear %d, %v: byte %d outside the write changed", tear, s, at)
						}
					default:
						bad++
						if !in {
							t.Fatalf("tear %d, %v: byte %d outside the write is noise", tear, s, at)
						}
					}
					at = end
				}
				if bad > 1 {
					t.Errorf("tear %d, %v: %d sectors of noise", tear, s, bad)
				}
				if bad == 1 || old > 0 && now > 0 {
					mixed++
				}
			}
			if multi := n*bs > tear; multi != (mixed > 2) {
				t.Errorf("tear %d, %d blocks: %d torn states", tear, n, mixed)
			}
		}
	}
}

// TestTornZero: zeroing and discarding tear, too, at their middle.
func TestTornZero(t *testing.T) {
	pool := newPool(t)
	base := devices.NewMem(devices.MemOptions{Blocks: 8})
	put(t, base, pool, 0, 8, 1)
	for _, zero := range []bool{true, false} {
		d := New(base)
		var err error
		if zero {
			err = d.Zero(ctx, 1, 5)
		} else {
			err = d.Discard(ctx, 1, 5)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for s := range d.States(d.Now(), Policy{}) {
			p := content(t, s, pool)
			if !zero && p[bs] > 1 {
				p[bs] = 9 // noise
			}
			got = append(got, firsts(p))
		}
		want := "[11111111 10000011 10011111 11100011]"
		if !zero {
			want = "[11111111 19000011 10011111 11100011]"
		}
		if fmt.Sprint(got) != want {
			t.Errorf("zero %v: states %v, want %s", zero, got, want)
		}
	}
}

// TestFlushCoversReturned: a Flush covers only what returned before it began.
func TestFlushCoversReturned(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 8}))
	hold, held := make(chan bool), make(chan bool)
	d.SetGate(func(_ context.Context, _ devices.Op, b devices.Block, _ uint64) {
		if b == 3 {
			held <- true
			<-hold
		}
	})
	put(t, d, pool, 1, 1, 1)
	done := make(chan bool)
	go func() {
		put(t, d, pool, 3, 1, 3)
		done <- true
	}()
	<-held
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	in := d.Now()
	hold <- true
	<-done
	var got []string
	for s := range d.States(in, Policy{NoTorn: true}) {
		got = append(got, firsts(content(t, s, pool)))
	}
	if fmt.Sprint(got) != "[01000000 01030000]" {
		t.Errorf("states with a write in flight during the flush: %v", got)
	}
	if d.Pending() != 1 {
		t.Errorf("%d pending, want the write that was in flight", d.Pending())
	}
	if err := d.Flush(ctx); err != nil || d.Pending() != 0 {
		t.Errorf("after another flush: %v, %d pending", err, d.Pending())
	}
}

// TestCompletionOrder: prefixes of the completion order are among the states
// when there are too many writes for all subsets.
func TestCompletionOrder(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 16}))
	const n = 12
	var gates [n]chan bool
	held := make(chan bool)
	for i := range gates {
		gates[i] = make(chan bool)
	}
	d.SetGate(func(_ context.Context, _ devices.Op, b devices.Block, _ uint64) {
		held <- true
		<-gates[b]
	})
	done := make(chan bool)
	for b := range n {
		go func() {
			put(t, d, pool, devices.Block(b), 1, 1)
			done <- true
		}()
		<-held
	}
	for b := n - 1; b >= 0; b-- { // complete in the opposite order
		gates[b] <- true
		<-done
	}
	got := map[string]bool{}
	for s := range d.States(d.Now(), Policy{NoTorn: true, Random: -1}) {
		got[firsts(content(t, s, pool))] = true
	}
	for i := range n + 1 {
		issue := strings.Repeat("1", i) + strings.Repeat("0", 16-i)
		completion := strings.Repeat("0", n-i) + strings.Repeat("1", i) + "0000"
		if !got[issue] || !got[completion] {
			t.Errorf("prefix %s or %s is missing", issue, completion)
		}
	}
	if len(got) > 4*n+2 {
		t.Errorf("%d states, more than the policy says", len(got))
	}
}

// TestSeen: I3.
func TestSeen(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 8}))
	put(t, d, pool, 0, 1, 1)
	d.Mark(1)
	d.Mark(1)
	seen := new(Seen)
	var counts []int
	for _, p := range d.Points() {
		n := 0
		for range d.States(p, Policy{Seen: seen, NoTorn: true}) {
			n++
		}
		counts = append(counts, n)
	}
	if fmt.Sprint(counts) != "[2 2 0]" || seen.Len() != 4 {
		t.Errorf("states visited: %v; want both images once per tag", counts)
	}
}

func TestLimit(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 64}))
	for i := range 40 {
		put(t, d, pool, devices.Block(i), 1, 1)
	}
	var got []string
	for s := range d.States(d.Now(), Policy{Limit: 20, Seed: 3}) {
		got = append(got, firsts(content(t, s, pool)))
	}
	if len(got) != 20 || got[0] != strings.Repeat("0", 64) || got[1] != strings.Repeat("1", 40)+strings.Repeat("0", 24) {
		t.Errorf("%d states, first %v", len(got), got[:2])
	}
}

// TestNested crashes a state, and its states again; the outer ones must not
// notice.
func TestNested(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 8}))
	put(t, d, pool, 0, 1, 1)
	n := 0
	for s := range d.States(d.Now(), Policy{NoTorn: true}) {
		before := s.Hash()
		inner := New(s.Mem)
		put(t, inner, pool, 1, 1, 2)
		for s2 := range inner.States(inner.Now(), Policy{NoTorn: true}) {
			third := New(s2.Mem)
			put(t, third, pool, 2, 1, 3)
			for range third.States(third.Now(), Policy{NoTorn: true}) {
				n++
			}
		}
		if s.Hash() != before {
			t.Errorf("%v changed by a crash inside it", s)
		}
	}
	if n != 8 {
		t.Errorf("%d images after three crashes, want 8", n)
	}
}

// TestClone: what a live device may lose is among its states' possibilities,
// and all of it gets lost and kept sometimes.
func TestClone(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 4}))
	put(t, d, pool, 0, 1, 1)
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	put(t, d, pool, 1, 2, 2)
	seen := map[string]int{}
	for seed := range uint64(200) {
		s, again := d.Clone(seed), d.Clone(seed)
		if s.Hash() != again.Hash() {
			t.Fatalf("seed %d gives different images", seed)
		}
		p := content(t, s, pool)
		if p[0] != 1 || p[3*bs] != 0 {
			t.Fatalf("seed %d: %v changed blocks not pending", seed, s)
		}
		seen[string(s.fates.String()[len("1 pending, "):])]++
	}
	if len(seen) != int(numFates) {
		t.Errorf("fates %v, want all %d", seen, numFates)
	}
}

// TestForget: memory of the past goes, the present stays.
func TestForget(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 4}))
	put(t, d, pool, 0, 1, 1)
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	put(t, d, pool, 1, 1, 2)
	d.Forget()
	if len(d.Points()) != 0 || len(d.writes) != 1 {
		t.Errorf("%d points, %d writes remembered", len(d.Points()), len(d.writes))
	}
	put(t, d, pool, 2, 1, 3)
	var got []string
	for s := range d.States(d.Now(), Policy{NoTorn: true}) {
		got = append(got, firsts(content(t, s, pool)))
	}
	if fmt.Sprint(got) != "[1000 1230 1200 1030]" {
		t.Errorf("states %v", got)
	}
	if got := firsts(content(t, d.Snapshot(), pool)); got != "1230" {
		t.Errorf("snapshot %s", got)
	}
}

func TestOverlapPanics(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 4}))
	inside := false
	d.SetGate(func(context.Context, devices.Op, devices.Block, uint64) {
		if inside {
			return
		}
		inside = true
		defer func() {
			if recover() == nil {
				t.Error("overlapping writes in flight went unnoticed")
			}
		}()
		_ = d.Zero(ctx, 2, 1)
	})
	put(t, d, pool, 1, 2, 1)
}

func TestClosed(t *testing.T) {
	pool := newPool(t)
	d := New(devices.NewMem(devices.MemOptions{Blocks: 4}))
	put(t, d, pool, 1, 2, 1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	f := block(pool, 1, 1)
	defer f.Release()
	for _, err := range []error{d.Read(ctx, 0, f.Vec()), d.Write(ctx, 0, f.Vec()), d.Flush(ctx), d.Zero(ctx, 0, 1), d.Discard(ctx, 0, 1)} {
		if !errors.Is(err, devices.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	}
	if d.Pending() != 1 || d.Clone(1) == nil {
		t.Error("states are gone after close")
	}
}

// BenchmarkStates measures states of a 64 MiB image with 10 pending writes of
// 4 to 64 KiB.
func BenchmarkStates(b *testing.B) {
	pool := newPool(b)
	base := devices.NewMem(devices.MemOptions{Blocks: 16384})
	for at := 0; at < 16384; at += 256 {
		put(b, base, pool, devices.Block(at), 256, byte(at>>8)+1)
	}
	d := New(base)
	for i := range 10 {
		put(b, d, pool, devices.Block(1000*i), 1+i%3*7, 9)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		for range d.States(d.Now(), Policy{Seed: uint64(n)}) {
			if n++; n == b.N {
				break
			}
		}
	}
}
