package scale

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/tools/store"
)

// childVariable, if set, makes the test binary a child: a job in JSON.
const childVariable = "EBOFS_SCALE_CHILD"

// job is what a child has to do.
type job struct {
	What    string // "fill", "load" or "mount"
	Image   string
	From, N int  // objects there are; objects to have
	Ordered bool // make them in the order of their keys
	Budget  int64
	Dirty   int64  // bytes that wait for a checkpoint at most; 0: as it should be
	Profile string // file for a CPU profile
}

// said is what a child reports, one a line.
type said struct {
	Mount       time.Duration // how long Open took
	Replay      time.Duration // of it, reading and applying the log
	Records     int64         // that it replayed
	LogBytes    int64         // that it read
	Onodes      int64         // that wait for a checkpoint after it
	MountCPU    time.Duration // of the process until then
	Seconds     float64       // of a fill
	CPU         time.Duration // of the process
	PeakBytes   int64         // resident, at most
	Objects     int64
	MetaBytes   uint64 // of the trees, on the device
	Checkpoints int64
	Written     int64 // bytes, of the fill
	Full        bool  // of a load: kill me now
}

func TestMain(m *testing.M) {
	if spec, ok := os.LookupEnv(childVariable); ok {
		var j job
		err := json.Unmarshal([]byte(spec), &j)
		if err == nil {
			err = child(context.Background(), &j, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child does a job the way a daemon runs a store.
func child(ctx context.Context, j *job, out io.Writer) error {
	store.TuneHeap(j.Budget)
	dev, err := devices.OpenFile(j.Image, devices.FileOptions{})
	if err != nil {
		return err
	}
	defer dev.Close()
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var say said
	begin := time.Now()
	s, err := ebofs.Open(ctx, dev, ebofs.Options{MemoryBytes: j.Budget, MaxDirtyBytes: j.Dirty, Warm: true})
	if err != nil {
		return err
	}
	say.Mount, say.MountCPU = time.Since(begin), cpu()
	m := s.Metrics()
	say.Onodes = int64(m.DirtyOnodes)
	say.Replay, say.Records, say.LogBytes = time.Duration(m.ReplayNanos), m.ReplayRecords, m.ReplayBytes
	if m.Checkpoints > 0 {
		err = errors.New("the mount has taken a checkpoint")
	}
	report := json.NewEncoder(out)
	switch {
	case err != nil:
	case j.What == "fill":
		begin := time.Now()
		err = fill(ctx, s, j)
		say.Seconds = time.Since(begin).Seconds()
	case j.What == "load":
		return load(ctx, s, j.N, func() error { return report.Encode(said{Full: true}) })
	}
	var st ebofs.Statfs
	if err == nil {
		err = s.Sync(ctx)
	}
	m = s.Metrics()
	say.Checkpoints, say.Written = m.Checkpoints, m.Written.Total()
	err = errors.Join(err, s.Close(ctx))
	if err == nil {
		st, err = statfs(ctx, dev)
	}
	if err != nil {
		return err
	}
	say.Objects, say.MetaBytes = st.Objects, uint64(st.Meta)
	say.PeakBytes, say.CPU = peak(), cpu()
	return report.Encode(say)
}

// statfs looks at a store that was closed.
func statfs(ctx context.Context, dev devices.Device) (ebofs.Statfs, error) {
	s, err := ebofs.Open(ctx, dev, ebofs.Options{ReadOnly: true, MemoryBytes: 64 << 20})
	if err != nil {
		return ebofs.Statfs{}, err
	}
	st, err := s.Statfs()
	return st, errors.Join(err, s.Close(ctx))
}

// writers is how many goroutines wait for their transaction at a time.
const writers = 64

const coll = "c"

func object(kind string, i int) ebofs.ObjectID {
	return ebofs.NewObjectID(1, fmt.Sprintf("%s.%012d", kind, i))
}

// attrs are what an OSD keeps with an object.
func attrs(data []byte) map[string][]byte {
	return map[string][]byte{"_": data[:200], "snapset": data[:31]}
}

// each calls fn by the writers with the numbers from from to to.
func each(from, to int, fn func(i int, x *ebofs.Txn) error) error {
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			x := ebofs.NewTxn()
			for i := next.Add(1) - 1; i < int64(to) && errs[w] == nil; i = next.Add(1) - 1 {
				x.Reset()
				errs[w] = fn(int(i), x)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// inOrder returns the numbers from from to to in the order of their objects' keys.
func inOrder(from, to int) []int {
	order, keys := make([]int, to-from), make([]uint32, to-from)
	for i := range order {
		o := object("object", from+i)
		order[i], keys[i] = from+i, bits.Reverse32(o.Hash)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(keys[a-from], keys[b-from]) })
	return order
}

// fill makes objects with two attributes, every sixteenth with 4 KiB of data.
func fill(ctx context.Context, s *ebofs.Store, j *job) error {
	if j.From == 0 {
		x := ebofs.NewTxn()
		x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
		if err := s.Apply(ctx, x); err != nil {
			return err
		}
	}
	number := func(i int) int { return i }
	if j.Ordered {
		order := inOrder(j.From, j.N)
		number = func(i int) int { return order[i-j.From] }
	}
	data := make([]byte, 4096)
	return each(j.From, j.N, func(i int, x *ebofs.Txn) error {
		i = number(i)
		o := object("object", i)
		x.Touch(coll, o)
		x.SetAttrs(coll, o, attrs(data))
		if i%16 == 0 {
			x.Write(coll, o, 0, data)
		}
		return s.Apply(ctx, x)
	})
}

// load makes new objects, changes any of the n there are and removes the new ones
// again, until it is killed. It calls full at the worst moment for that.
func load(ctx context.Context, s *ebofs.Store, n int, full func() error) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		worst, begun := 0, s.Metrics().Checkpoints
		for said := false; !said; time.Sleep(time.Millisecond) {
			m := s.Metrics()
			if done := m.Checkpoints - begun; done < 3 {
				worst = max(worst, m.DirtyOnodes)
			} else if said = m.DirtyOnodes >= worst*9/10; said {
				_ = full()
			}
		}
	})
	data := make([]byte, 4096)
	seed := uint64(time.Now().UnixNano())
	return each(0, 1<<40, func(i int, x *ebofs.Txn) error {
		switch o := object("load", i); i % 3 {
		case 0:
			x.Touch(coll, o)
			x.SetAttrs(coll, o, attrs(data))
		case 1:
			o = object("object", rand.New(rand.NewPCG(seed, uint64(i))).IntN(n))
			x.SetAttrs(coll, o, attrs(data))
			if i%16 == 0 {
				x.Write(coll, o, 0, data)
			}
		case 2:
			if i < 30000 {
				return nil
			}
			x.Remove(coll, object("load", i-29999))
		}
		if err := s.Apply(ctx, x); err != nil && !errors.Is(err, ebofs.ErrNotFound) {
			return err
		}
		return nil
	})
}

// peak is the most memory the process has had resident.
func peak() int64 { return peakOf(os.Getpid()) }

func peakOf(pid int) (n int64) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(p)) {
		if k, _ := fmt.Sscanf(line, "VmHWM: %d kB", &n); k == 1 {
			return n << 10
		}
	}
	return 0
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
