package online

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"ebofs/ebofs"
)

// TestDefrag starts, asks about and stops defragmentations of a store in use.
func TestDefrag(t *testing.T) {
	w := newWorld(t, 64, 160)
	for i := range 160 {
		x := ebofs.NewTxn()
		x.Zero(coll, object(fmt.Sprintf("o%04d", i)), 8192, 56<<10)
		if err := w.store.Apply(bg, x); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := w.store.Checkpoint(bg); err != nil {
			t.Fatal(err)
		}
	}
	var s DefragStatus
	if err := w.ask(&s, "store defrag status", nil); err != nil || s.State != Idle || s.Running {
		t.Errorf("%v %+v", err, s)
	}
	if err := w.ask(&s, "store defrag stop", nil); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
	for _, args := range []map[string]any{{"score": 0}, {"score": 100}, {"rate": -1}} {
		if err := w.ask(&s, "store defrag start", args); !errors.Is(err, syscall.EINVAL) {
			t.Error(args, err)
		}
	}
	// So slow that it runs until it is stopped.
	if err := w.ask(&s, "store defrag start", map[string]any{"score": 1, "rate": 4096}); err != nil || s.State != Running {
		t.Fatalf("%v %+v", err, s)
	}
	if err := w.ask(&s, "store defrag start", nil); !errors.Is(err, syscall.EBUSY) {
		t.Error(err)
	}
	if err := w.ask(&s, "store defrag stop", nil); err != nil || s.State != Stopped || s.Reason != "cancelled" || s.Result == nil || s.Result.Reached || s.Running {
		t.Fatalf("%v %+v", err, s)
	}
	before := s.Score
	if err := w.ask(&s, "store defrag start", map[string]any{"score": 5, "rate": 0, "objects": true}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); s.State == Running && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s = DefragStatus{}
		if err := w.ask(&s, "store defrag status", nil); err != nil {
			t.Fatal(err)
		}
	}
	if s.State != Done || s.Result == nil || !s.Result.Reached || s.Score > 0.05 || before < 0.1 || s.Moved == 0 || s.Progress.Pass == 0 {
		t.Fatalf("%+v, %+v, was %v", s, s.Result, before)
	}
	for i := range 160 {
		p := make([]byte, 64<<10)
		want := append(data(uint64(i), 64<<10)[:8192], make([]byte, 56<<10)...)
		if n, err := w.store.Read(bg, coll, object(fmt.Sprintf("o%04d", i)), 0, p); err != nil || !bytes.Equal(p[:n], want) {
			t.Fatalf("object %d: %d bytes, %v", i, n, err)
		}
	}
}
