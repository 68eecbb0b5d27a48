package devices

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
)

// fakeFile is memory behind system calls that may be short or interrupted.
type fakeFile struct {
	data  []byte
	calls int
	// limit returns how much of n bytes call number k moves, and an error.
	limit func(k, n int) (int, error)
	sync  []error // results of fdatasync, in order
}

func (f *fakeFile) move(v [][]byte, off int64, write bool) (int, error) {
	if len(v) > maxVectors {
		return -1, syscall.EINVAL
	}
	n := 0
	for _, p := range v {
		n += len(p)
	}
	n = max(0, min(n, len(f.data)-int(off)))
	f.calls++
	if f.limit != nil {
		var err error
		if n, err = f.limit(f.calls, n); err != nil {
			return -1, err
		}
	}
	left := n
	for _, p := range v {
		p = p[:min(left, len(p))]
		if write {
			copy(f.data[off:], p)
		} else {
			copy(p, f.data[off:])
		}
		off += int64(len(p))
		left -= len(p)
	}
	return n, nil
}

func (f *fakeFile) pread(p []byte, off int64) (int, error)     { return f.move([][]byte{p}, off, false) }
func (f *fakeFile) pwrite(p []byte, off int64) (int, error)    { return f.move([][]byte{p}, off, true) }
func (f *fakeFile) preadv(v [][]byte, off int64) (int, error)  { return f.move(v, off, false) }
func (f *fakeFile) pwritev(v [][]byte, off int64) (int, error) { return f.move(v, off, true) }

func (f *fakeFile) fdatasync() error {
	if len(f.sync) == 0 {
		return nil
	}
	err := f.sync[0]
	f.sync = f.sync[1:]
	return err
}

func newFake(blocks int) (*fakeFile, *File) {
	ff := &fakeFile{data: make([]byte, blocks*BlockSize)}
	f := &File{path: "fake", sys: ff, g: DefaultGeometry(uint64(blocks))}
	f.async.use, f.async.from = ringNever, 1<<62
	return ff, f
}

// randomVec cuts p into slices of whole blocks.
func randomVec(r *rand.Rand, p []byte) (v Vec) {
	for len(p) > 0 {
		n := min(len(p), BlockSize*(1+r.IntN(4)))
		v = append(v, p[:n])
		p = p[n:]
	}
	return v
}

// TestShortTransfers checks that short and interrupted calls are continued
// until everything moved, at sector boundaries only.
func TestShortTransfers(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(7, 7))
	ff, f := newFake(4096)
	ff.limit = func(_, n int) (int, error) {
		switch r.IntN(4) {
		case 0:
			return 0, syscall.EINTR
		case 1:
			return min(n, 512+r.IntN(n)), nil // not a whole sector: the rest must be repeated
		}
		return n, nil
	}
	p := heapAligned(3000 * BlockSize)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	for _, n := range []int{1, 2, 17, 3000} {
		v := randomVec(r, p[:n*BlockSize])
		shape := len(v)
		if err := f.Write(ctx, 9, v); err != nil {
			t.Fatalf("write of %d blocks: %v", n, err)
		}
		if !bytes.Equal(ff.data[9*BlockSize:][:n*BlockSize], p[:n*BlockSize]) {
			t.Fatalf("write of %d blocks stored something else", n)
		}
		q := heapAligned(n * BlockSize)
		if err := f.Read(ctx, 9, randomVec(r, q)); err != nil {
			t.Fatalf("read of %d blocks: %v", n, err)
		}
		if !bytes.Equal(q, p[:n*BlockSize]) || len(v) != shape {
			t.Fatalf("read of %d blocks returned something else", n)
		}
	}
}

// TestManyVectors checks that no call gets more than IOV_MAX slices.
func TestManyVectors(t *testing.T) {
	ff, f := newFake(3000)
	p := heapAligned(2500 * BlockSize)
	v := make(Vec, 2500)
	for i := range v {
		v[i] = p[i*BlockSize:][:BlockSize]
		v[i][0] = byte(i)
	}
	if err := f.Write(context.Background(), 0, v); err != nil {
		t.Fatal(err)
	}
	if ff.calls != 3 || !bytes.Equal(ff.data[:len(p)], p) {
		t.Errorf("%d calls, want 3 with everything written", ff.calls)
	}
}

// TestGatherLimits checks the limit of bytes of one call without having them.
func TestGatherLimits(t *testing.T) {
	huge := heapAligned(BlockSize)
	v := Vec{huge, huge, huge}
	var batch [maxVectors][]byte
	for skip, want := range map[int]int{0: 3 * BlockSize, 512: 3*BlockSize - 512, 2*BlockSize + 512: BlockSize - 512, 3 * BlockSize: 0} {
		if got := VecBytes(gather(&batch, v, skip)); got != want {
			t.Errorf("skip %d: %d bytes, want %d", skip, got, want)
		}
	}
}

// TestEndOfFile: a device that became smaller fails, and does not loop.
func TestEndOfFile(t *testing.T) {
	ctx := context.Background()
	ff, f := newFake(8)
	ff.data = ff.data[:5*BlockSize+512]
	v := Vec{heapAligned(BlockSize), heapAligned(2 * BlockSize)}
	if err := f.Read(ctx, 4, v); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read beyond the end: %v", err)
	}
	if err := f.Write(ctx, 4, v); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("write beyond the end: %v", err)
	}
}

func TestTransferErrors(t *testing.T) {
	ctx := context.Background()
	ff, f := newFake(8)
	ff.limit = func(k, n int) (int, error) {
		if k > 1 {
			return 0, syscall.EIO
		}
		return BlockSize, nil
	}
	v := Vec{heapAligned(BlockSize), heapAligned(2 * BlockSize)}
	err := f.Write(ctx, 4, v)
	if !errors.Is(err, syscall.EIO) || err.Error() != "fake: write blocks 4~3: input/output error" {
		t.Errorf("error after a short transfer: %v", err)
	}
}

// TestFlushSticks: I2.
func TestFlushSticks(t *testing.T) {
	ctx := context.Background()
	ff, f := newFake(8)
	ff.sync = []error{syscall.EINTR, nil, syscall.EIO, nil, nil}
	if err := f.Flush(ctx); err != nil {
		t.Fatalf("interrupted flush: %v", err)
	}
	first := f.Flush(ctx)
	if !errors.Is(first, syscall.EIO) {
		t.Fatalf("failed flush: %v", first)
	}
	if err := f.Flush(ctx); err != first {
		t.Errorf("second flush: %v, want the first error", err)
	}
	if err := f.Write(ctx, 0, Vec{heapAligned(BlockSize)}); !errors.Is(err, errFlushed) || !errors.Is(err, syscall.EIO) {
		t.Errorf("write after a failed flush: %v", err)
	}
	if err := f.Zero(ctx, 0, 1); !errors.Is(err, errFlushed) {
		t.Errorf("zero after a failed flush: %v", err)
	}
	if err := f.Read(ctx, 0, Vec{heapAligned(BlockSize)}); err != nil {
		t.Errorf("read after a failed flush: %v", err)
	}
}

// TestOverhead checks that one I/O of one buffer allocates nothing.
func TestOverhead(t *testing.T) {
	ctx := context.Background()
	_, f := newFake(8)
	f.sys = nullCalls{}
	one, many := Vec{heapAligned(BlockSize)}, randomVec(rand.New(rand.NewPCG(1, 1)), heapAligned(5*BlockSize))
	if n := testing.AllocsPerRun(100, func() {
		_ = f.Write(ctx, 1, one)
		_ = f.Read(ctx, 1, one)
		_ = f.Flush(ctx)
	}); n != 0 {
		t.Errorf("%v allocations for one buffer", n)
	}
	if raceEnabled {
		return // sync.Pool drops at random
	}
	if n := testing.AllocsPerRun(100, func() { _ = f.Write(ctx, 1, many) }); n != 0 {
		t.Errorf("%v allocations for a vector", n)
	}
}

// nullCalls are system calls that do nothing, to measure what we add.
type nullCalls struct{}

func (nullCalls) pread(p []byte, _ int64) (int, error)     { return len(p), nil }
func (nullCalls) pwrite(p []byte, _ int64) (int, error)    { return len(p), nil }
func (nullCalls) preadv(v [][]byte, _ int64) (int, error)  { return VecBytes(v), nil }
func (nullCalls) pwritev(v [][]byte, _ int64) (int, error) { return VecBytes(v), nil }
func (nullCalls) fdatasync() error                         { return nil }

func BenchmarkOverheadRead(b *testing.B) {
	_, f := newFake(8)
	f.sys = nullCalls{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	v := Vec{heapAligned(BlockSize)}
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Read(ctx, 1, v)
	}
}
