package ebofs

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// moments notes the states of two devices at each event of one of them.
type moments struct {
	main, log *crashdev.Device
	list      [][2]crashdev.Point
}

func (m *moments) note() { m.list = append(m.list, [2]crashdev.Point{m.main.Now(), m.log.Now()}) }

// noted is one of the two.
type noted struct {
	*crashdev.Device
	m *moments
}

func (d noted) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	err := d.Device.Write(ctx, b, v)
	d.m.note()
	return err
}

func (d noted) Flush(ctx context.Context) error {
	err := d.Device.Flush(ctx)
	d.m.note()
	return err
}

// splitStore is a store of that size that was not closed, with an object in its log.
func splitStore(t *testing.T, bytes uint64, f FormatOptions) *devices.Mem {
	t.Helper()
	mem := devices.NewMem(devices.MemOptions{Blocks: bytes / blockSize})
	s := newStore(t, mem, f, Options{Inline: true})
	for i := range 4 {
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(i), 0, pattern(i, 0, 300<<10)) })
	}
	mustCheckpoint(t, s)
	apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(4), 0, pattern(4, 0, 3000)) })
	snap := mem.Snapshot() // as a crash leaves it
	closeStore(t, s)
	return snap
}

// checkSplit mounts the store, with the log device if it wants one, compares, works
// and checks; it reports whether the log has moved.
func checkSplit(t *testing.T, what string, main, log *devices.Mem) (moved bool) {
	t.Helper()
	f, err := Find(bg, main)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	moved = f.Super.Rings[0].Start.Device() == 1
	o := Options{Inline: true, MemoryBytes: minMemory}
	c := check.Options{Level: check.Deep, Workers: 1}
	if moved {
		o.LogDevice, c.LogDevice = log, log
	}
	s, err := Open(bg, main, o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for i, n := range []int{300 << 10, 300 << 10, 300 << 10, 300 << 10, 3000} {
		if got, err := content(s, growObject(i)); err != nil || !bytes.Equal(got, pattern(i, 0, n)) {
			t.Errorf("%s: object %d: %d bytes, %v", what, i, len(got), err)
		}
	}
	apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(5), 0, pattern(5, 0, 9000)) })
	checkSpace(t, s)
	closeStore(t, s)
	rep, err := check.Run(bg, main, c)
	if err != nil || !rep.OK() || !rep.Complete {
		t.Fatalf("%s: %v, %+v", what, err, rep)
	}
	return moved
}

// TestAddLogCrashes cuts the power at every write to either device, and moves the log
// again where it has not moved.
func TestAddLogCrashes(t *testing.T) {
	mem := splitStore(t, 48*mib, FormatOptions{LogBytes: 4 * mib})
	m := &moments{main: crashdev.New(mem), log: crashdev.New(newMem(24))}
	if _, err := AddLog(bg, noted{m.main, m}, noted{m.log, m}, AddLogOptions{MemoryBytes: minMemory}); err != nil {
		t.Fatal(err)
	}
	limit, least := 5, 60
	if testing.Short() {
		limit, least = 2, 40
	}
	var states, before int
	var seen, seenLog crashdev.Seen
	for _, at := range m.list {
		for st := range m.main.States(at[0], crashdev.Policy{Limit: limit, Seen: &seen}) {
			for lst := range m.log.States(at[1], crashdev.Policy{Limit: 3}) {
				states++
				main, log := st.Mem.Snapshot(), lst.Mem.Snapshot()
				if checkSplit(t, st.String()+", log: "+lst.String(), main, log) {
					continue
				}
				if before++; before%4 != 0 {
					continue
				}
				if _, err := AddLog(bg, main, log, AddLogOptions{MemoryBytes: minMemory}); err != nil {
					t.Fatalf("%v, log %v: again: %v", st, lst, err)
				}
				if !checkSplit(t, "again", main, log) {
					t.Errorf("%v: the log did not move", st)
				}
			}
		}
		// The states of the log alone, with the main device as it is.
		for lst := range m.log.States(at[1], crashdev.Policy{Limit: limit, Seen: &seenLog}) {
			for st := range m.main.States(at[0], crashdev.Policy{Limit: 1}) {
				states++
				checkSplit(t, "log: "+lst.String(), st.Mem.Snapshot(), lst.Mem.Snapshot())
			}
		}
	}
	if states < least || before == 0 || before == states {
		t.Errorf("%d states, %d with the old log", states, before)
	}
	t.Logf("%d states, %d with the old log", states, before)
}

// TestAddLogRefuses: what is refused, or stopped before the first write to the log
// device, leaves the store with the log it has.
func TestAddLogRefuses(t *testing.T) {
	mem := splitStore(t, 48*mib, FormatOptions{LogBytes: 4 * mib})
	sb := mustFind(t, mem)
	other := sb
	other.Role = layout.RoleLog
	if _, err := PlanAddLog(&other, newMem(24), AddLogOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a log device is no store: %v", err)
	}
	if _, err := AddLog(bg, mem, newMem(1), AddLogOptions{MemoryBytes: minMemory}); err == nil {
		t.Error("a log device of 1 MiB")
	}
	log, stop := newMem(24), errors.New("stop")
	before := log.Hash()
	if _, err := AddLog(bg, mem, log, AddLogOptions{MemoryBytes: minMemory, Prepare: func() error { return stop }}); !errors.Is(err, stop) || log.Hash() != before {
		t.Errorf("stopped: %v", err)
	}
	if checkSplit(t, "refused", mem.Snapshot(), log) {
		t.Error("the log has moved")
	}
	if _, err := AddLog(bg, mem, log, AddLogOptions{MemoryBytes: minMemory}); err != nil {
		t.Fatal(err)
	}
	if sb = mustFind(t, mem); sb.Rings[0].Start.Device() != 1 {
		t.Error("the log has not moved")
	}
	if _, err := PlanAddLog(&sb, newMem(24), AddLogOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second log: %v", err)
	}
}

// TestAddLogFrees: of a log between zones the blocks become free space, those of one
// before the first zone are left.
func TestAddLogFrees(t *testing.T) {
	for name, c := range map[string]struct{ device, log, freed, left uint64 }{
		"before the zones":  {1 << 30, 64 * mib, 0, 64 * mib},
		"between the zones": {4 << 30, 1536 * mib, 1536 * mib, 0},
	} {
		mem := splitStore(t, c.device, FormatOptions{LogBytes: c.log, KeepEpochs: 2})
		before := freeBlocks(t, mem.Snapshot())
		log := newMem(32)
		sb := mustFind(t, mem)
		plan, err := PlanAddLog(&sb, log, AddLogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := AddLog(bg, mem, log, AddLogOptions{MemoryBytes: minMemory})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if plan.DeviceUUID = r.DeviceUUID; plan != r || r.Freed*blockSize != c.freed || r.Left*blockSize != c.left {
			t.Errorf("%s: %+v, planned %+v", name, r, plan)
		}
		if !checkSplit(t, name, mem, log) {
			t.Errorf("%s: the log did not move", name)
		}
		s := open(t, mem, Options{Inline: true, LogDevice: log})
		if now := s.space.counts().free; now+1000 < before+c.freed/blockSize {
			t.Errorf("%s: %d blocks free, before %d", name, now, before)
		}
		closeStore(t, s)
		if _, err := AddLog(bg, mem, newMem(32), AddLogOptions{}); !errors.Is(err, ErrLogMissing) {
			t.Errorf("%s: a second time: %v", name, err)
		}
		sb = mustFind(t, mem)
		if _, err := PlanAddLog(&sb, newMem(32), AddLogOptions{}); !errors.Is(err, ErrExists) {
			t.Errorf("%s: a second time: %v", name, err)
		}
	}
}

func mustFind(t *testing.T, dev devices.Device) layout.Superblock {
	t.Helper()
	f, err := Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	return f.Super
}
