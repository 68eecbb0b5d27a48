package ebofs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ebofs/devices"
)

// slowDevice is memory that serves one call after the other, in the order they
// come, at 1 GB/s and 20 µs a call, once it is slow.
type slowDevice struct {
	*devices.Mem
	turn chan struct{}
	slow bool
}

func (d *slowDevice) serve(v devices.Vec) {
	if d.slow {
		d.turn <- struct{}{} // who waits gets it in order
		time.Sleep(20*time.Microsecond + time.Duration(devices.VecBytes(v)))
		<-d.turn
	}
}

func (d *slowDevice) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	d.serve(v)
	return d.Mem.Read(ctx, b, v)
}

func (d *slowDevice) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	d.serve(v)
	return d.Mem.Write(ctx, b, v)
}

// TestReadsBesideCheckpoint: a checkpoint that folds tens of MiB has more writes
// ready than it gets onto the device, and a read waits for a few of them at most.
// Time is the test's own, so that the figures are the same everywhere.
func TestReadsBesideCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &slowDevice{Mem: newMem(512), turn: make(chan struct{}, 1)}
		s := newStore(t, dev, FormatOptions{LogBytes: 128 << 20}, Options{MaxDirtyBytes: 1 << 30, CheckpointInterval: 24 * time.Hour})
		defer closeStore(t, s)
		const mib = 1 << 20
		for i := range 16 {
			apply(t, s, func(x *Txn) {
				x.Write(mainColl, oid(fmt.Sprint("cold", i)), 0, make([]byte, mib))
				x.Write(mainColl, oid(fmt.Sprint("hot", i)), 0, make([]byte, 3*mib))
			})
		}
		mustCheckpoint(t, s)
		for i := range 16 * 3 * mib / 4096 / 32 { // 48 MiB, none of them whole stripes
			apply(t, s, func(x *Txn) {
				for k := range 32 {
					x.Write(mainColl, oid(fmt.Sprint("hot", i%16)), uint64(i/16*32+k)*4096, slices.Repeat([]byte{byte(i + k)}, 4096))
				}
			})
		}
		r := rand.New(rand.NewPCG(1, 1))
		p := make([]byte, 4096)
		read := func() time.Duration {
			begin := time.Now()
			if _, err := s.Read(bg, mainColl, oid(fmt.Sprint("cold", r.IntN(16))), uint64(r.IntN(256))*4096, p); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		dev.slow = true
		for range 100 {
			read()
		}
		main, _ := s.Devices()
		before := main.Class(devices.ClassCheckpoint)
		done := make(chan error, 1)
		begin := time.Now()
		go func() { done <- s.Checkpoint(bg) }()
		var took []time.Duration
		for over := false; !over; {
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
				over = true
			case <-time.After(100 * time.Microsecond):
				took = append(took, read())
			}
		}
		all, after := time.Since(begin), main.Class(devices.ClassCheckpoint)
		dev.slow = false
		slices.Sort(took)
		wrote, waits := after.Bytes-before.Bytes, after.Waits-before.Waits
		t.Logf("checkpoint of %d MiB in %v, %d of %d calls waited; %d reads beside it: p50 %v, p99 %v, longest %v",
			wrote>>20, all, waits, after.Calls-before.Calls, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		const write = mib + 20*time.Microsecond
		if wrote < 48*mib || waits < 8 {
			t.Error("the checkpoint never had more to write than it was let: the test shows nothing")
		}
		if took[len(took)/2] > 3*write/2 || took[len(took)-1] > 5*write {
			t.Error("reads waited for more than a few writes")
		}
		if all > time.Duration(wrote)*3/2 {
			t.Error("the checkpoint was held up")
		}
	})
}
