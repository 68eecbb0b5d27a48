package online

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/internal/asok"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

const coll = ebofs.CollectionID("c")

func object(name string) ebofs.ObjectID { return ebofs.NewObjectID(1, name) }

func data(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(p)
	return p
}

// world is a store with its commands behind a socket.
type world struct {
	t     *testing.T
	dev   devices.Device
	gate  *gate // the same, for checks
	store *ebofs.Store
	cmds  *Commands
	sock  *asok.Server
	level slog.LevelVar
	ahead atomic.Int64 // of the clock, in seconds
}

// gate is a device that is read as far as the test allows.
type gate struct {
	devices.Device
	mu   sync.Mutex
	left int           // bytes
	wait int           // reads that wait for more
	more chan struct{} // closed when there are more
}

func (g *gate) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	for {
		g.mu.Lock()
		more, ok := g.more, g.left > 0
		if ok {
			g.left -= devices.VecBytes(v)
		} else {
			g.wait++
		}
		g.mu.Unlock()
		if ok {
			return g.Device.Read(ctx, b, v)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// allow lets n bytes be read from here on.
func (g *gate) allow(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.wait = n, 0
	close(g.more)
	g.more = make(chan struct{})
}

// starved reports whether a read waits for more.
func (g *gate) starved() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wait > 0
}

// newWorld makes a store of so many MiB with objects of 64 KiB.
func newWorld(t *testing.T, mib uint64, objects int) *world {
	t.Helper()
	w := &world{t: t, dev: devices.NewMem(devices.MemOptions{Blocks: mib << 20 / devices.BlockSize})}
	if _, err := ebofs.Format(bg, w.dev, ebofs.FormatOptions{Label: "test"}); err != nil {
		t.Fatal(err)
	}
	w.gate = &gate{Device: w.dev, left: 1 << 40, more: make(chan struct{})}
	var err error
	if w.store, err = ebofs.Open(bg, w.dev, ebofs.Options{MemoryBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	w.gate.Device, _ = w.store.Devices()
	x := ebofs.NewTxn()
	x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
	for i := range objects {
		x.Write(coll, object(fmt.Sprintf("o%04d", i)), 0, data(uint64(i), 64<<10))
		if i%8 == 7 || i == objects-1 {
			if err := w.store.Apply(bg, x); err != nil {
				t.Fatal(err)
			}
			x = ebofs.NewTxn()
		}
	}
	w.serve()
	t.Cleanup(func() {
		w.end()
		if err := w.store.Close(bg); err != nil {
			t.Error(err)
		}
	})
	return w
}

// serve starts what a process with the store runs.
func (w *world) serve() {
	w.cmds = New(Options{Store: w.store, Device: w.gate, Path: "/dev/x", Level: &w.level,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load()) * time.Second) }})
	var err error
	if w.sock, err = asok.Listen(asok.Options{Dir: filepath.Join(w.t.TempDir(), "run"), Name: "x"}, w.cmds.List()...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) end() {
	w.cmds.Close()
	if err := w.sock.Close(); err != nil {
		w.t.Error(err)
	}
}

// ask asks and decodes the answer into v.
func (w *world) ask(v any, command string, args map[string]any) error {
	w.t.Helper()
	p, err := asok.Ask(bg, w.sock.Path(), command, args)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(p))
	if err := d.Decode(v); err != nil {
		w.t.Fatalf("%s: %v: %s", command, err, p)
	}
	return nil
}

func (w *world) start(args map[string]any) CheckStatus {
	w.t.Helper()
	var s CheckStatus
	if err := w.ask(&s, "store check start", args); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// until polls the check until it is as wanted.
func (w *world) until(want func(s *CheckStatus) bool) (s CheckStatus) {
	w.t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		s = CheckStatus{}
		if err := w.ask(&s, "store check status", nil); err != nil {
			w.t.Fatal(err)
		}
		if want(&s) {
			return s
		}
		if time.Since(begin) > 60*time.Second {
			w.t.Fatalf("waited for long: %+v", s)
		}
	}
}

func ended(s *CheckStatus) bool { return s.State != Running }

// further lets the check read until it has got on, in small steps: how much that
// takes depends on what it had read ahead and on what it begins with.
func (w *world) further(from check.Position) CheckStatus {
	w.t.Helper()
	return w.until(func(s *CheckStatus) bool {
		if s.Position.Further(from) {
			return true
		}
		if w.gate.starved() {
			w.gate.allow(1 << 20)
		}
		return false
	})
}

func TestCommands(t *testing.T) {
	w := newWorld(t, 64, 20)
	var st Status
	if err := w.ask(&st, "store status", nil); err != nil || st.Store != w.store.Superblock().FSID.String() || st.Path != "/dev/x" || st.Label != "test" || st.State != "ok" || st.Check != Idle || st.Bytes != 64<<20 {
		t.Errorf("%v %+v", err, st)
	}
	var free map[string]uint64
	if err := w.ask(&free, "store free", nil); err != nil || free["objects"] != 20 || free["free_bytes"] == 0 || free["free_bytes"]+free["limbo_bytes"]+free["used_bytes"] != free["total_bytes"] {
		t.Errorf("%v %+v", err, free)
	}
	var perf map[string]map[string]int64
	if err := w.ask(&perf, "perf dump", nil); err != nil || perf["ebofs"]["transactions"] != 3 || perf["ebofs_log"]["records"] < 3 ||
		perf["ebofs_io_log"]["calls"] < 3 || perf["ebofs_io_log"]["flushes"] < 3 || perf["ebofs_io_data"]["bytes"] < 20*64<<10 || perf["ebofs_io"]["background_limit"] < 1 {
		t.Errorf("%v %+v", err, perf)
	}
	var config map[string]any
	if err := w.ask(&config, "config show", nil); err != nil || config["memory_bytes"] != float64(64<<20) || config["checkpoint_interval_seconds"] != 30.0 || config["max_dirty_bytes"] == 0.0 {
		t.Errorf("%v %+v", err, config)
	}
	var level map[string]string
	if err := w.ask(&level, "log level", map[string]any{"level": "debug"}); err != nil || level["level"] != "DEBUG" || w.level.Level() != slog.LevelDebug {
		t.Errorf("%v %+v", err, level)
	}
	var s CheckStatus
	if err := w.ask(&s, "store check status", nil); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
	for _, level := range []string{"quick", "full", "deep"} {
		begun := w.start(map[string]any{"level": level, "rate": 0})
		s := w.until(ended)
		if s.ID != begun.ID || s.State != Done || s.Report == nil || !s.Report.OK() || !s.Report.Complete || s.Report.Level != level || s.Report.Mode != "online" || s.Pins != 1 {
			t.Errorf("%s: %+v, %+v", level, s, s.Report)
		}
		if level != "quick" && s.Report.Counts.Objects != 20 {
			t.Errorf("%s: %d objects: what was committed before the check is not in it", level, s.Report.Counts.Objects)
		}
	}
	if err := w.ask(&perf, "perf dump", nil); err != nil || perf["ebofs_io_scrub"]["bytes"] < 20*64<<10 || perf["ebofs_io_scrub"]["inside"] != 0 {
		t.Errorf("after the checks: %v %v", err, perf["ebofs_io_scrub"])
	}
	if err := w.ask(&s, "store check status", map[string]any{"id": 1}); !errors.Is(err, syscall.ENOENT) || err.Error() != "there is no check 1 any more" {
		t.Error(err)
	}
	for _, args := range []map[string]any{{"position": "x"}, {"level": "odd"}, {"rate": -1}} {
		if err := w.ask(&s, "store check start", args); !errors.Is(err, syscall.EINVAL) {
			t.Error(args, err)
		}
	}
}

// TestCancelAndResume: a check that was cancelled goes on in another process; the
// data that was verified is not read again.
func TestCancelAndResume(t *testing.T) {
	w := newWorld(t, 128, 600)
	w.gate.allow(1 << 20)
	w.start(map[string]any{"level": "deep", "rate": 0})
	var s CheckStatus
	if err := w.ask(&s, "store check start", nil); !errors.Is(err, syscall.EBUSY) {
		t.Error("a second one:", err)
	}
	for len(s.Position.Data) == 0 {
		s = w.further(s.Position)
	}
	if err := w.ask(&s, "store check cancel", nil); err != nil {
		t.Fatal(err)
	}
	if s.State != Stopped || s.Reason != "cancelled" || s.Report == nil || s.Report.Complete || len(s.Position.Data) == 0 || s.Position.All {
		t.Fatalf("%+v", s)
	}
	before := s.Report
	first := before.Counts.DataChecked
	position, err := json.Marshal(s.Position)
	if err != nil {
		t.Fatal(err)
	}
	w.end()
	w.serve()
	w.gate.allow(1 << 40)
	w.start(map[string]any{"level": "deep", "rate": 0, "position": string(position)})
	s = w.until(ended)
	if s.State != Done || !s.Report.OK() || s.Report.Counts.DataChecked == 0 || s.Report.Counts.DataChecked > 600*16-256 {
		t.Errorf("%+v: %d blocks before, %d after", s, first, s.Report.Counts.DataChecked)
	}
	if !check.Merge(before, s.Report).Complete {
		t.Error("the two together are not complete")
	}
	if p := s.Report.Parts; len(p) != 1 || p[0].From == "" || p[0].To != "" {
		t.Errorf("%+v", p)
	}
}

// TestLease: a check that nobody asks about is stopped, and so is one whose process
// ends.
func TestLease(t *testing.T) {
	w := newWorld(t, 64, 300)
	w.start(map[string]any{"level": "deep", "rate": 1 << 20, "lease": 1})
	w.ahead.Store(5)
	<-w.cmds.job.ended // asking would renew it
	if s := w.cmds.job.status(); s.State != Stopped || s.Reason != errLease.Error() {
		t.Errorf("%+v", s)
	}
	w.start(map[string]any{"level": "deep", "rate": 1 << 20, "lease": 0})
	w.cmds.Close()
	if s := w.cmds.job.status(); s.State != Stopped || s.Reason != errEnds.Error() {
		t.Errorf("%+v", s)
	}
	var s CheckStatus
	if err := w.ask(&s, "store check start", nil); !errors.Is(err, syscall.ESHUTDOWN) {
		t.Error(err)
	}
}

// TestSpaceShort: a writer that needs the space a pin holds back gets it; the check
// goes on at newer checkpoints and says so.
func TestSpaceShort(t *testing.T) {
	w := newWorld(t, 96, 400)
	w.gate.allow(1 << 20)
	w.start(map[string]any{"level": "deep", "rate": 0})
	var s CheckStatus
	for i := uint64(0); i < 1000 && s.Pins < 3; {
		s = w.further(s.Position)
		for pins := s.Pins; s.Pins == pins; i++ {
			x := ebofs.NewTxn()
			x.Write(coll, object(fmt.Sprint("busy", i%2)), 0, data(i, 2<<20))
			if err := w.store.Apply(bg, x); err != nil {
				t.Fatalf("write %d: %v", i, err)
			}
			s = w.until(func(*CheckStatus) bool { return true })
		}
	}
	w.gate.allow(1 << 40)
	s = w.until(ended)
	if s.State != Done || !s.Report.OK() || !s.Report.Complete || s.Pins != 3 || len(s.Report.Parts) != 3 {
		t.Fatalf("%+v %+v", s, s.Report)
	}
	t.Logf("%d pins, %+v", s.Pins, s.Report.Parts)
	if n := s.Report.Counts.DataChecked; n < 400*16 || n > 400*16*3/2 {
		t.Errorf("%d blocks verified of %d", n, 400*16)
	}
	for i, p := range s.Report.Parts {
		if i > 0 && (p.Epoch <= s.Report.Parts[i-1].Epoch || p.From != s.Report.Parts[i-1].To) {
			t.Errorf("part %d: %+v", i, p)
		}
	}
}

// TestNoSpaceAtAll: a check that never gets on ends, and says why.
func TestNoSpaceAtAll(t *testing.T) {
	w := newWorld(t, 96, 400)
	s := w.start(map[string]any{"level": "deep", "rate": 1})
	for i := uint64(0); i < 1000 && !ended(&s); i++ {
		x := ebofs.NewTxn()
		x.Write(coll, object(fmt.Sprint("busy", i%2)), 0, data(i, 2<<20))
		if err := w.store.Apply(bg, x); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		s = w.until(func(*CheckStatus) bool { return true })
	}
	if s.State != Stopped || !strings.Contains(s.Reason, "space is short") || s.Pins != maxStuck {
		t.Fatalf("%+v %+v", s, s.Report)
	}
}

// TestReportSoFar: what a check has found can be had while it runs, with a position
// that is not ahead of it.
func TestReportSoFar(t *testing.T) {
	w := newWorld(t, 96, 400)
	if err := w.store.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	bad := 0
	frame := devices.NewPool(devices.PoolOptions{}).Get(devices.BlockSize)
	defer frame.Release()
	for b := w.dev.Geometry().Blocks / 3; b < w.dev.Geometry().Blocks; b += 97 {
		if err := w.dev.Read(bg, devices.Block(b), frame.Vec()); err != nil {
			t.Fatal(err)
		}
		for i := range 400 {
			if p := data(uint64(i), 64<<10); bytes.Contains(p, frame.Bytes()) {
				frame.Bytes()[5] ^= 1
				if err := w.dev.Write(bg, devices.Block(b), frame.Vec()); err != nil {
					t.Fatal(err)
				}
				bad++
				break
			}
		}
		if bad == 12 {
			break
		}
	}
	w.gate.allow(1 << 20)
	w.start(map[string]any{"level": "deep", "rate": 0})
	var s CheckStatus
	for len(s.Position.Data) == 0 || s.Report == nil || len(s.Report.Problems) == 0 {
		w.gate.allow(1 << 20)
		if err := w.ask(&s, "store check status", map[string]any{"report": true}); err != nil || ended(&s) {
			t.Fatal(err, s)
		}
	}
	// The process dies here; another one goes on.
	w.end()
	w.serve()
	w.gate.allow(1 << 40)
	position, _ := json.Marshal(s.Report.Position)
	w.start(map[string]any{"level": "deep", "rate": 0, "position": string(position)})
	rest := w.until(ended)
	all := check.Merge(s.Report, rest.Report)
	if bad != 12 || len(all.Problems) != bad || all.Counts.Errors != uint64(bad) || !all.Complete || rest.Report.Counts.DataChecked >= 400*16 {
		t.Errorf("%d damaged, %d found, %d of them in the rest: %+v", bad, len(all.Problems), len(rest.Report.Problems), all)
	}
}
