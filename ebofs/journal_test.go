package ebofs

import (
	"bytes"
	"context"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/internal/invariants"
)

// TestJournalMemory follows the memory of two epochs: it stays while the epoch or
// a reader needs it, and goes to the next epoch or to the pool.
func TestJournalMemory(t *testing.T) {
	pool := devices.NewPool(devices.PoolOptions{})
	var all journals
	var taken int64
	all.init(pool, func(n int64) { taken += n })
	all.begin(1)
	whole, odd := bytes.Repeat([]byte{1}, 2*blockSize), []byte("odd")
	var kept [][]byte
	for range 100 { // several frames
		kept = append(kept, all.of(1).keep(whole), all.of(1).keep(odd))
	}
	kept = append(kept, all.of(1).keep(bytes.Repeat([]byte{1}, journalMax+1)))
	for i, p := range kept {
		if want := whole[:min(len(p), len(whole))]; i%2 == 0 && !bytes.HasPrefix(p, want) || i%2 == 1 && !bytes.Equal(p, odd) {
			t.Fatalf("piece %d is not what was kept", i)
		}
		if i%2 == 0 && len(p) == len(whole) && !aligned(p) {
			t.Fatalf("piece %d, whole blocks, is not aligned", i)
		}
		if cap(p) != len(p) {
			t.Fatalf("piece %d of %d bytes may be appended to, up to %d", i, len(p), cap(p))
		}
	}
	if p := all.of(1).keep(nil); len(p) != 0 {
		t.Fatalf("nothing became %d bytes", len(p))
	}
	frames := len(all.of(1).frames)
	if want := 100 * len(whole) / journalFrame; frames < want || frames > want+1 {
		t.Fatalf("%d frames for %d bytes", frames, 100*len(whole))
	}
	if taken != int64(frames)*journalFrame {
		t.Fatalf("told of %d bytes for %d frames", taken, frames)
	}
	all.begin(2)
	reader := all.of(1)
	reader.hold()
	all.end(1)
	for range 100 {
		all.of(2).keep(bytes.Repeat([]byte{2}, blockSize))
	}
	if !bytes.Equal(kept[0], whole) {
		t.Fatal("memory was used again under a reader")
	}
	reader.drop()
	if n := len(all.spare); n != frames && !invariants.Enabled {
		t.Fatalf("%d frames to spare of %d that the last epoch had", n, frames)
	}
	all.begin(3)
	all.of(3).keep(whole)
	all.end(2)
	if n := len(all.spare); n > len(all.of(2).frames)+1 {
		t.Fatalf("%d frames to spare, the last epoch had %d", n, len(all.of(2).frames))
	}
	all.idle()
	if n := len(all.spare); n != 0 {
		t.Fatalf("%d frames to spare when idle", n)
	}
	all.close()
	if taken != 0 {
		t.Fatalf("told of %d bytes more than were given back", taken)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadOverCheckpoint holds a read of journaled and of older bytes in the
// device while their epoch is folded and the next ones use its memory.
func TestReadOverCheckpoint(t *testing.T) {
	ctx := context.Background()
	entered, pass := make(chan struct{}), make(chan struct{})
	held := devices.Block(0) // whose read waits; 0: none's
	mem := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / blockSize, Hook: func(_ context.Context, op devices.Op, b devices.Block, n uint64) error {
		if op == devices.OpRead && held != 0 && b <= held && held < b+devices.Block(n) {
			held = 0
			close(entered)
			<-pass
		}
		return nil
	}})
	if _, err := Format(ctx, mem, FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, mem, Options{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	o := NewObjectID(1, "o")
	write := func(off uint64, b byte, n int) {
		x := NewTxn()
		if !s.CollectionExists("c") {
			x.MkColl("c", CollSpec{Shard: -1, Pool: 1})
		}
		x.Write("c", o, off, bytes.Repeat([]byte{b}, n))
		if err := s.Apply(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint := func() {
		if err := s.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	const size = 16 * blockSize
	write(0, 1, size)
	checkpoint()
	write(3*blockSize, 2, blockSize) // the read below finds this in RAM
	write(5*blockSize+7, 3, 100)
	want := bytes.Repeat([]byte{1}, size)
	copy(want[3*blockSize:], bytes.Repeat([]byte{2}, blockSize))
	copy(want[5*blockSize+7:], bytes.Repeat([]byte{3}, 100))
	n, err := s.onodeOf(ctx, o.AppendKey(nil), true)
	if err != nil {
		t.Fatal(err)
	}
	val, _, err := n.cur.extents.Get(ctx, chunkKey(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _, err := n.cur.lookup(0, val)
	n.refs.Add(-1)
	if err != nil || addr == 0 {
		t.Fatal("block 0 is nowhere:", err)
	}
	held = devices.Block(addr.Block())
	got, done := make([]byte, size), make(chan error, 1)
	go func() {
		_, err := s.Read(ctx, "c", o, 0, got)
		done <- err
	}()
	select {
	case <-entered:
	case err := <-done:
		t.Fatal("the read did not reach the device:", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the read is stuck")
	}
	for range 3 {
		checkpoint()
		for i := range uint64(16) {
			write(i*blockSize, 9, blockSize)
		}
	}
	close(pass)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the read shows bytes written after it began to copy, or none that were ever there")
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
