package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
)

// online checks a store in use at a pinned checkpoint.
func online(ctx context.Context, t testing.TB, dev devices.Device, s *ebofs.Store, o check.Options) (*check.Report, error) {
	t.Helper()
	pin, err := s.Pin()
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	sb := pin.Superblock()
	o.Super = &sb
	if o.Online == nil {
		o.Online = &check.Online{}
	}
	if o.Online.Valid == nil {
		o.Online.Valid = pin.Err
	}
	return check.Run(ctx, dev, o)
}

// TestOnline: a store that is written to, checkpointed and emptied meanwhile is
// clean at every level, every time.
func TestOnline(t *testing.T) {
	dev := newDevice(128)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	populate(t, s)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				o := object(fmt.Sprintf("live%d-%d", w, i%20))
				x := ebofs.NewTxn()
				x.Write(coll, o, uint64(i%7)*4000, fill(int64(i), 1000+i%5*60000))
				x.OmapSet(coll, object("omap"), map[string][]byte{fmt.Sprintf("key%05d", i%3000): fill(int64(i), 80)})
				if i%9 == 0 {
					x.Remove(coll, o)
				}
				if i%11 == 0 {
					x.Clone(coll, object("large5"), object(fmt.Sprintf("clone%d-%d", w, i%3)))
				}
				err := s.Apply(bg, x)
				if err == nil && i%10 == 0 {
					err = s.Checkpoint(bg)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	last, logs := uint64(0), 0
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for i := range 3 * rounds {
		r, err := online(bg, t, dev, s, check.Options{Level: check.Level(i % 3)})
		if err != nil {
			t.Fatal(err)
		}
		wantClean(t, r)
		if r.Mode != "online" || r.Clean || r.Epoch < last || i%3 > 0 && r.Counts.Objects < 300 {
			t.Errorf("%+v", r)
		}
		last = r.Epoch
		if strings.Contains(r.Phases[1].Note, "records") {
			logs++
		}
	}
	close(stop)
	writers.Wait()
	if logs == 0 {
		t.Error("the log was never checked")
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	wantClean(t, run(t, dev, check.Options{Level: check.Deep}))
}

// counted counts the data that is read of a device.
type counted struct {
	devices.Device
	mu     sync.Mutex
	blocks uint64
	broken func(b devices.Block, v devices.Vec) // may spoil what was read
}

func (c *counted) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks += uint64(devices.VecBytes(v)) / devices.BlockSize
	err := c.Device.Read(ctx, b, v)
	if c.broken != nil {
		c.broken(b, v)
	}
	return err
}

// spoil damages the last block of the device that holds data, and returns it.
func spoil(t *testing.T, dev devices.Device, data []byte) uint64 {
	t.Helper()
	for b := dev.Geometry().Blocks - 1; b > 0; b-- {
		if p := readBlocks(t, dev, b, 1); bytes.Equal(p, data) {
			p[100] ^= 1
			writeBlocks(t, dev, b, p)
			return b
		}
	}
	t.Fatal("no such data on the device")
	return 0
}

// TestOnlineResume: a deep check cut short again and again reads the data of each
// object once in all, names what is damaged once, and says what it did when.
func TestOnlineResume(t *testing.T) {
	dev := newDevice(128)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	defer s.Close(bg)
	apply(t, s, func(x *ebofs.Txn) { x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1}) })
	const objects, size = 3000, 8192
	for i := 0; i < objects; i += 100 {
		apply(t, s, func(x *ebofs.Txn) {
			for j := range 100 {
				x.Write(coll, object(fmt.Sprintf("o%05d", i+j)), 0, fill(int64(i+j), size))
			}
		})
	}
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	bad := []uint64{spoil(t, dev, fill(70, size)[:4096]), spoil(t, dev, fill(2900, size)[4096:])}
	whole, err := online(bg, t, dev, s, check.Options{Level: check.Deep})
	if err != nil || len(whole.Problems) != 2 || len(whole.Parts) != 1 || !whole.Parts[0].Data || whole.Parts[0].To != "" {
		t.Fatalf("%v: %+v", err, whole)
	}

	var all *check.Report
	var from check.Position
	cuts := 0
	epochs := map[uint64]bool{}
	for all == nil || !from.All || from.Zones == 0 {
		ctx, cancel := context.WithCancelCause(bg)
		cut := errors.New("cut")
		r, err := online(ctx, t, dev, s, check.Options{Level: check.Deep, Workers: 1, Online: &check.Online{From: from}, Progress: func(p check.Progress) {
			if len(p.Position.Data) > 0 && !bytes.Equal(p.Position.Data, from.Data) {
				cancel(cut)
			}
		}})
		cancel(nil)
		switch {
		case err != nil && !errors.Is(err, cut):
			t.Fatal(err)
		case err != nil:
			cuts++
		}
		// What goes on must survive being written down.
		p, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		r = new(check.Report)
		if err := json.Unmarshal(p, r); err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(r.Position.Data, from.Data) < 0 && !r.Position.All {
			t.Fatalf("went back from %q to %q", from.Data, r.Position.Data)
		}
		from = *r.Position
		all = check.Merge(all, r)
		epochs[r.Epoch] = true
		apply(t, s, func(x *ebofs.Txn) { x.Touch(coll, object(fmt.Sprint("new", cuts))) })
		if err := s.Checkpoint(bg); err != nil {
			t.Fatal(err)
		}
		if cuts > 100 {
			t.Fatal("no end of it")
		}
	}
	if cuts < 3 || len(epochs) < 4 {
		t.Errorf("%d cuts, %d epochs", cuts, len(epochs))
	}
	var found []uint64
	for _, p := range all.Problems {
		found = append(found, p.Address)
	}
	if len(found) != 2 || !(reflect.DeepEqual(found, bad) || found[0] == bad[1] && found[1] == bad[0]) || all.Counts.Errors != 2 {
		t.Errorf("found %v, damaged %v: %+v", found, bad, all.Counts)
	}
	// A batch that was under way at the cut is looked at twice.
	if n, once := all.Counts.DataChecked, whole.Counts.DataChecked; n < once || n > once+uint64(cuts)*3*256*size/4096 || n > 3*once {
		t.Errorf("%d blocks verified in all, %d in one go, %d cuts", n, once, cuts)
	}
	for i, p := range all.Parts {
		if i > 0 && p.From != all.Parts[i-1].To || i == len(all.Parts)-1 && (p.To != "" || p.EndZone == 0) {
			t.Errorf("parts do not meet: %+v", all.Parts)
		}
	}
	// With everything done there is no data left to verify.
	again, err := online(bg, t, dev, s, check.Options{Level: check.Deep, Online: &check.Online{From: from}})
	if err != nil || again.Counts.DataChecked != 0 || len(again.Problems) != 0 {
		t.Errorf("%v %+v", err, again)
	}
	// A position of another level or store counts for nothing.
	for _, p := range []check.Position{{Store: from.Store, Level: "full", All: true}, {Store: "x", Level: "deep", All: true}} {
		if r, err := online(bg, t, dev, s, check.Options{Level: check.Deep, Online: &check.Online{From: p}}); err != nil || len(r.Problems) != 2 {
			t.Errorf("%+v: %v %+v", p, err, r)
		}
	}
}

// TestOnlineResumeZones: zones that were compared are left out, the verdict is the
// same.
func TestOnlineResumeZones(t *testing.T) {
	dev := newDevice(2048)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	defer s.Close(bg)
	populate(t, s)
	apply(t, s, func(x *ebofs.Txn) { x.Clone(coll, object("large4"), object("large4c")) })
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	whole, err := online(bg, t, dev, s, check.Options{Level: check.Full, MemoryBytes: 1})
	if err != nil || whole.Passes < 3 {
		t.Fatalf("%v: %d passes", err, whole.Passes)
	}
	wantClean(t, whole)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	first, err := online(ctx, t, dev, s, check.Options{Level: check.Full, MemoryBytes: 1, Progress: func(p check.Progress) {
		if p.Position.Zones > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || first.Position.Zones == 0 {
		t.Fatalf("%v: %+v", err, first.Position)
	}
	rest, err := online(bg, t, dev, s, check.Options{Level: check.Full, MemoryBytes: 1, Online: &check.Online{From: *first.Position}})
	if err != nil || rest.Passes >= whole.Passes || rest.Counts.FreeBlocks != whole.Counts.FreeBlocks || rest.Counts.DataBlocks != whole.Counts.DataBlocks {
		t.Fatalf("%v: %d passes of %d, %+v, %+v", err, rest.Passes, whole.Passes, rest.Counts, whole.Counts)
	}
	wantClean(t, rest)
	if p := rest.Parts; len(p) != 1 || p[0].FirstZone != first.Position.Zones || p[0].Data {
		t.Errorf("%+v", p)
	}
}

// TestOnlinePinEnds: what is found once the pin does not hold is not believed.
func TestOnlinePinEnds(t *testing.T) {
	dev := newDevice(64)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	defer s.Close(bg)
	populate(t, s)
	apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("victim"), 0, fill(77, 4096)) })
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	spoil(t, dev, fill(77, 4096))
	ended := errors.New("ended")
	r, err := online(bg, t, dev, s, check.Options{Level: check.Deep, Online: &check.Online{Valid: func() error { return ended }}})
	if !errors.Is(err, ended) || len(r.Problems) != 0 || r.Counts.Errors != 0 {
		t.Errorf("%v: %+v", err, r)
	}
	if r, err := online(bg, t, dev, s, check.Options{Level: check.Deep}); err != nil || len(r.Problems) != 1 || r.Problems[0].Code != check.DataCRC {
		t.Errorf("%v: %+v", err, r)
	}
}

// TestOnlineLog: a batch that is bad once was being written; one that stays bad is
// damaged.
func TestOnlineLog(t *testing.T) {
	dev := &counted{Device: newDevice(64)}
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	populate(t, s)
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object(fmt.Sprint("late", i)), 0, fill(1, 5000)) })
	}
	sb := s.Superblock()
	ring := sb.Rings[0]
	bad := devices.Block(ring.Start.Block() + ring.TailBlock + 8)
	for _, times := range []int{0, 1, 1 << 30} {
		left := times
		dev.mu.Lock()
		dev.broken = func(b devices.Block, v devices.Vec) {
			at := b
			for _, p := range v {
				for ; len(p) > 0; p, at = p[devices.BlockSize:], at+1 {
					if at == bad && left > 0 {
						left--
						p[2000] ^= 1
					}
				}
			}
		}
		dev.mu.Unlock()
		r, err := online(bg, t, dev, s, check.Options{Level: check.Quick})
		if err != nil {
			t.Fatal(err)
		}
		if times < 1<<30 {
			wantClean(t, r)
			if r.Counts.LogRecords != 40 || r.Phases[1].Note != "in use, 40 records" {
				t.Errorf("%d times: %+v", times, r.Phases)
			}
			continue
		}
		if len(r.Problems) != 1 || r.Problems[0].Code != check.LogDamage {
			t.Errorf("%+v", r)
		}
	}
	dev.mu.Lock()
	dev.broken = nil
	dev.mu.Unlock()
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
}
