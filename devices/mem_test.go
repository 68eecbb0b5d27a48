package devices

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestMemSnapshot(t *testing.T) {
	ctx := context.Background()
	m := NewMem(MemOptions{Blocks: 1 << 40}) // sparse: 4 PiB
	p := heapAligned(BlockSize)
	p[0] = 1
	v := Vec{p}
	if err := m.Write(ctx, 1<<40-1, v); err != nil {
		t.Fatal(err)
	}
	s := m.Snapshot()
	p[0] = 2
	if err := errors.Join(m.Write(ctx, 1<<40-1, v), m.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Read(ctx, 1<<40-1, v); err != nil || p[0] != 1 {
		t.Errorf("snapshot reads %d, %v", p[0], err)
	}
	again := m.Snapshot() // of a closed device
	if err := again.Read(ctx, 1<<40-1, v); err != nil || p[0] != 2 {
		t.Errorf("reopened device reads %d, %v", p[0], err)
	}
	if s.Hash() == again.Hash() {
		t.Error("different contents have equal hashes")
	}
	p[0] = 2
	if err := s.Write(ctx, 1<<40-1, v); err != nil || s.Hash() != again.Hash() {
		t.Error("equal contents have different hashes")
	}
}

// TestMemOverlap: I5 is checked for all kinds of writes, and only while both
// are in flight.
func TestMemOverlap(t *testing.T) {
	ctx := context.Background()
	var found []string
	var m *Mem
	v := Vec{heapAligned(2 * BlockSize)}
	inner := func(context.Context) error { return nil }
	m = NewMem(MemOptions{Blocks: 8, Overlap: func(s string) { found = append(found, s) },
		Hook: func(ctx context.Context, op Op, b Block, n uint64) error {
			if Site(ctx) == "outer" {
				return inner(context.Background())
			}
			return nil
		}})
	outer := WithSite(ctx, "outer")
	for _, c := range []struct {
		name  string
		inner func(context.Context) error
		want  string
	}{
		{"write", func(ctx context.Context) error { return m.Write(ctx, 3, v) }, "write of blocks 3~2 while a write of 2~2"},
		{"zero", func(ctx context.Context) error { return m.Zero(ctx, 0, 8) }, "zero of blocks 0~8"},
		{"discard", func(ctx context.Context) error { return m.Discard(ctx, 2, 1) }, "discard of blocks 2~1"},
		{"before", func(ctx context.Context) error { return m.Write(ctx, 0, v) }, ""},
		{"behind", func(ctx context.Context) error { return m.Write(ctx, 4, v) }, ""},
		{"read", func(ctx context.Context) error { return m.Read(ctx, 2, v) }, ""},
	} {
		found, inner = nil, c.inner
		if err := m.Write(outer, 2, v); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(found, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	found = nil
	for range 2 {
		if err := m.Write(ctx, 2, v); err != nil {
			t.Error(err)
		}
	}
	if found != nil {
		t.Error("writes one after the other count as overlapping")
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic by default")
		}
	}()
	m.opts.Overlap = nil
	inner = func(ctx context.Context) error { return m.Write(ctx, 3, v) }
	_ = m.Write(outer, 2, v)
}

// TestMemHook: an error of the hook fails the I/O without effect, and sticks
// after a flush (I2).
func TestMemHook(t *testing.T) {
	ctx := context.Background()
	boom := errors.New("boom")
	var fail Op = 255
	m := NewMem(MemOptions{Blocks: 8, Hook: func(_ context.Context, op Op, _ Block, _ uint64) error {
		if op == fail {
			return boom
		}
		return nil
	}})
	v := Vec{heapAligned(BlockSize)}
	v[0][0] = 1
	for op, do := range map[Op]func() error{
		OpRead:    func() error { return m.Read(ctx, 0, v) },
		OpWrite:   func() error { return m.Write(ctx, 0, v) },
		OpZero:    func() error { return m.Zero(ctx, 0, 1) },
		OpDiscard: func() error { return m.Discard(ctx, 0, 1) },
	} {
		fail = op
		before := m.Hash()
		if err := do(); !errors.Is(err, boom) || m.Hash() != before {
			t.Errorf("%s: %v, or it had an effect", op, err)
		}
	}
	fail = OpFlush
	first := m.Flush(ctx)
	fail = 255
	if !errors.Is(first, boom) || m.Flush(ctx) != first || !errors.Is(m.Write(ctx, 0, v), boom) || m.Read(ctx, 0, v) != nil {
		t.Errorf("after a failed flush: %v", first)
	}
}

// TestDiscardIsNoise: what was discarded is neither kept nor all zeros.
func TestDiscardIsNoise(t *testing.T) {
	ctx := context.Background()
	m := NewMem(MemOptions{Blocks: 8})
	p := heapAligned(3 * BlockSize)
	if err := errors.Join(m.Discard(ctx, 2, 2), m.Read(ctx, 1, Vec{p})); err != nil {
		t.Fatal(err)
	}
	zero := func(p []byte) bool { return strings.Trim(string(p), "\x00") == "" }
	if !zero(p[:BlockSize]) || zero(p[BlockSize:2*BlockSize]) || !zero(p[2*BlockSize:]) {
		t.Error("discard of 2~2 left something else than noise and zeros")
	}
}

func TestOpString(t *testing.T) {
	if OpRead.String() != "read" || OpZero.String() != "zero" || Op(77).String() != "op(77)" {
		t.Error(OpRead, OpZero, Op(77))
	}
	if Site(context.Background()) != "" {
		t.Error("a context without a site has one")
	}
}
