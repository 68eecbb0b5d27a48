package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/internal/perf"
	"ebofs/tools/store"
)

// Operations. Put makes new objects, overwrite replaces loaded ones; cold reads
// each object once at most, after a fresh start; hot reads a few that were read
// before.
const (
	opOver = "overwrite"
	opPut  = "put"
	opCold = "get-cold"
	opScan = "scan"
	opHot  = "get-hot"
)

var allOps = []string{opOver, opPut, opCold, opScan, opHot}

const (
	hotBytes   = 16 << 20
	coldMemory = 64 << 20 // the least our engine takes
	smallBytes = 16 << 10 // up to here values are measured at all depths, and read hot and in order
)

// depthsOf returns how many callers an operation is measured with.
func depthsOf(op string, bytes int) []int {
	switch {
	case op == opScan:
		return []int{1}
	case bytes <= smallBytes:
		return []int{1, 16, 64}
	}
	return []int{1, 16}
}

// unitSpec is what a child is told.
type unitSpec struct {
	Peer    string
	Round   int
	Bytes   int    // of a value
	N       uint64 // objects loaded, a power of two
	Ops     []string
	Seconds float64 // of a cell, at most
	Memory  int64   // budget of caches
	Dev     string
	Dir     string // to mount over, in our own namespace
	Profile string // directory for CPU profiles; empty: none
}

// Row is one cell in one round.
type Row struct {
	Round int    `json:"round"`
	Peer  string `json:"peer"`
	Op    string `json:"op"`
	Bytes int    `json:"bytes"`
	Depth int    `json:"depth"`
	Ops   int64  `json:"ops"`

	Seconds float64 `json:"seconds"`        // of the operations
	Settle  float64 `json:"settle_seconds"` // after them, until nothing was owed
	PerS    float64 `json:"ops_per_s"`
	P50US   float64 `json:"p50_us"`
	P99US   float64 `json:"p99_us"`
	CPUUS   float64 `json:"cpu_us_per_op"`         // of the peer's process
	AllUS   float64 `json:"machine_cpu_us_per_op"` // kernel threads and interrupts, too
	Written float64 `json:"written_per_byte"`      // by the device, for a byte put
	Read    float64 `json:"read_per_byte"`         // by the device, for a byte read or put
	Writes  float64 `json:"writes_per_op"`         // requests of the device
	Flushes float64 `json:"flushes_per_op"`
	RSS     int64   `json:"resident_bytes"`

	Foreign float64 `json:"foreign_cores"` // taken by other processes meanwhile
	Steal   float64 `json:"steal_cores"`   // by the hypervisor
}

// disturbed is how many cores others had.
func (r *Row) disturbed() float64 { return r.Foreign + r.Steal }

// unit is one peer that is being measured.
type unit struct {
	unitSpec
	p    *peer
	s    backend
	bufs [][]byte // one a caller
	next atomic.Uint64
	out  *json.Encoder

	profiles *os.Root // stays what it is when Dir is mounted over
}

// runUnit is the child: it writes a row when it is there.
func runUnit(spec unitSpec, w io.Writer) (err error) {
	u := &unit{unitSpec: spec, out: json.NewEncoder(w)}
	if u.p, err = peerNamed(spec.Peer); err != nil {
		return err
	}
	if u.p.name == ours {
		store.TuneThreads()
		store.TuneHeap(spec.Memory)
	} else {
		if os.Getenv("GOMAXPROCS") == "" {
			runtime.GOMAXPROCS(max(u.p.procs, runtime.GOMAXPROCS(0)))
		}
		debug.SetGCPercent(400) // as often, and without a limit
	}
	for i := range slices.Max(depthsOf(opPut, spec.Bytes)) {
		if u.p.huge {
			u.bufs = append(u.bufs, onHugePages(spec.Bytes))
		} else {
			u.bufs = append(u.bufs, aligned(spec.Bytes))
		}
		noise(u.bufs[i], uint64(i))
	}
	u.next.Store(u.N)
	if spec.Profile != "" {
		if u.profiles, err = os.OpenRoot(spec.Profile); err != nil {
			return err
		}
	}
	if err := u.mkfs(); err != nil {
		return err
	}
	if err := u.open(true, opPut); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.shut()) }()
	load := make([]byte, spec.Bytes)
	noise(load, 99)
	err = u.s.load(u.N, func(i uint64, p []byte) {
		copy(p, load)
		stamp(p, i)
	})
	if err = errors.Join(err, u.s.settle()); err != nil {
		return fmt.Errorf("load %d objects: %w", u.N, err)
	}
	for _, op := range allOps {
		for _, depth := range depthsOf(op, spec.Bytes) {
			if err := u.cell(op, depth); err != nil {
				return fmt.Errorf("%s at depth %d: %w", op, depth, err)
			}
		}
	}
	return nil
}

func (u *unit) mkfs() error {
	var cmd []string
	switch u.p.fs {
	case "":
		return nil
	case "ext4": // an inode for each 4 KiB, or small objects run out of them
		cmd = []string{"mkfs.ext4", "-q", "-F", "-i", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", u.Dev}
	case "xfs":
		cmd = []string{"mkfs.xfs", "-q", "-f", "-K", u.Dev}
	}
	c := exec.Command(cmd[0], cmd[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd, " "), err, out)
	}
	return nil
}

// open mounts and opens for an operation.
func (u *unit) open(fresh bool, op string) (err error) {
	o := setup{dev: u.Dev, dir: u.Dir, fresh: fresh, bytes: u.Bytes, n: u.N, memory: u.Memory, cold: op == opCold || op == opScan}
	if o.cold {
		o.memory = min(o.memory, coldMemory)
	}
	ahead := 128 // KiB, the kernel's default
	switch {
	case !u.p.mapped:
	case u.Bytes <= smallBytes && op != opScan:
		// Whatever page is touched, all that was read with it is one folio, which a
		// sync writes as a whole: up to 1 MiB for each put.
		ahead = 0
	case o.cold:
		ahead = max(ahead, u.Bytes>>10)
	}
	if err := setQueue(u.Dev, "read_ahead_kb", ahead); err != nil {
		return err
	}
	if u.p.fs != "" {
		if err := unix.Mount(u.Dev, u.Dir, u.p.fs, unix.MS_NOATIME, ""); err != nil {
			return fmt.Errorf("mount %s: %w", u.p.fs, err)
		}
	}
	if u.s, err = u.p.open(o); err != nil {
		u.s = nil
		return errors.Join(err, u.shut())
	}
	return nil
}

// shut closes and unmounts, which empties the page cache.
func (u *unit) shut() (err error) {
	if u.s != nil {
		err = u.s.close()
		u.s = nil
	}
	if u.p.fs != "" {
		err = errors.Join(err, unix.Unmount(u.Dir, 0))
	}
	return err
}

func (u *unit) reopen(op string) error {
	if err := u.shut(); err != nil {
		return err
	}
	runtime.GC()
	debug.FreeOSMemory()
	return u.open(false, op)
}

// cell measures one operation.
func (u *unit) cell(op string, depth int) error {
	if !u.p.does(op) || !slices.Contains(u.Ops, op) {
		return nil
	}
	if u.Bytes > smallBytes && (op == opHot || op == opScan) {
		return nil
	}
	writes, limit := op == opPut || op == opOver, u.N
	switch op {
	case opCold, opScan:
		if err := u.reopen(op); err != nil {
			return err
		}
	case opHot:
		limit = 1 << 62
		if depth == 1 {
			if err := u.reopen(op); err != nil {
				return err
			}
		}
		for range 2 {
			for i := range u.hot() {
				if err := u.s.get(i, u.bufs[0]); err != nil {
					return err
				}
			}
		}
	}
	row := Row{Round: u.Round, Peer: u.p.name, Op: op, Bytes: u.Bytes, Depth: depth}
	var latency perf.Histogram
	var ops int64
	var settled time.Duration
	stop, err := u.profile(op, depth)
	if err != nil {
		return err
	}
	before := look(u.Dev)
	start := time.Now()
	if op == opScan {
		ops, err = u.scan(start)
	} else {
		ops, err = u.callers(op, depth, limit, &latency)
	}
	elapsed := time.Since(start)
	if err == nil && writes {
		start = time.Now()
		err = u.s.settle()
		settled = time.Since(start)
		if w, ok := u.s.(interface{ watched() time.Duration }); ok {
			settled -= w.watched()
		}
	}
	if err != nil {
		return err
	}
	after := look(u.Dev)
	stop()
	x := after.since(before)
	wall := after.at.Sub(before.at).Seconds()
	n, bytes := float64(max(ops, 1)), float64(max(ops, 1))*float64(u.Bytes)
	row.Ops, row.Seconds, row.Settle, row.PerS = ops, elapsed.Seconds(), settled.Seconds(), float64(ops)/elapsed.Seconds()
	row.P50US, row.P99US = float64(latency.Quantile(0.5))/1e3, float64(latency.Quantile(0.99))/1e3
	row.CPUUS, row.AllUS = x.self*1e6/n, x.machine*1e6/n
	row.Written, row.Read, row.Flushes = float64(x.written)/bytes, float64(x.read)/bytes, float64(x.flushes)/n
	row.Writes = float64(x.writes) / n
	row.RSS, row.Foreign, row.Steal = resident(), x.foreign/wall, x.steal/wall
	return u.out.Encode(row)
}

// paid is the rate of a row when the time to settle counts, too.
func (r *Row) paid() float64 {
	if r.Settle == 0 {
		return r.PerS
	}
	return float64(r.Ops) / (r.Seconds + r.Settle)
}

// profile begins a CPU profile of a cell and returns what ends it.
func (u *unit) profile(op string, depth int) (func(), error) {
	if u.Profile == "" {
		return func() {}, nil
	}
	name := fmt.Sprintf("%s-%s-%d-%d.%d.pprof", strings.ReplaceAll(u.p.name, " ", "-"), op, u.Bytes, depth, u.Round)
	f, err := u.profiles.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, pprof.StartCPUProfile(f)
}

// hot is how many objects are read hot.
func (u *unit) hot() uint64 { return max(1, min(u.N, uint64(hotBytes/u.Bytes))) }

// callers lets depth callers work until the time is over or limit operations are
// done.
func (u *unit) callers(op string, depth int, limit uint64, latency *perf.Histogram) (int64, error) {
	var done atomic.Int64
	var begun atomic.Uint64
	var stop atomic.Bool
	seed := uint64(u.Round)<<32 | uint64(depth)<<16
	shuffle := rand.New(rand.NewPCG(seed, 7)).Uint64() | 1 // odd: i*shuffle%N visits each once, N being a power of two
	end := time.Now().Add(time.Duration(u.Seconds * float64(time.Second)))
	err := each(depth, func(w int) error {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		p, n := u.bufs[w], int64(0)
		defer func() { done.Add(n) }()
		// Once at least, however late it gets a processor.
		for now := time.Now(); (n == 0 || now.Before(end)) && !stop.Load(); n++ {
			turn := begun.Add(1) - 1
			if turn >= limit {
				return nil
			}
			var i uint64
			switch op {
			case opPut:
				i = u.next.Add(1) - 1
			case opOver:
				// Of its own part: two at once in one commit could be written as one.
				i = rng.Uint64N(u.N/uint64(depth))*uint64(depth) + uint64(w)
			case opCold:
				i = turn * shuffle & (u.N - 1)
			case opHot:
				i = rng.Uint64N(u.hot())
			}
			var err error
			if op == opPut || op == opOver {
				stamp(p, i)
				err = u.s.put(i, p)
			} else if err = u.s.get(i, p); err == nil {
				err = stamped(p, i)
			}
			if err != nil {
				stop.Store(true)
				return fmt.Errorf("object %d: %w", i, err)
			}
			t := time.Now()
			latency.Record(uint64(t.Sub(now)))
			now = t
		}
		return nil
	})
	return done.Load(), err
}

// scan reads all objects in order, or as many as there is time for.
func (u *unit) scan(start time.Time) (ops int64, err error) {
	end := start.Add(time.Duration(u.Seconds * float64(time.Second)))
	var sum uint64
	err = u.s.scan(func(v []byte) bool {
		if len(v) != u.Bytes {
			return false
		}
		for i := 0; i < len(v); i += 512 { // what is mapped only is not read yet
			sum += uint64(v[i])
		}
		ops++
		return ops&63 != 0 || time.Now().Before(end)
	})
	if err == nil && (ops == 0 || sum == 0) {
		err = errors.New("nothing was read")
	}
	return ops, err
}

// each runs fn for 0 to n-1 at once and returns the first error.
func each(n int, fn func(w int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for w := range n {
		wg.Go(func() { errs[w] = fn(w) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
