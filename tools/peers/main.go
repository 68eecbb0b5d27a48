package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childArg as first argument makes the program a child; its spec follows.
const childArg = "-unit"

func main() {
	if len(os.Args) == 3 && os.Args[1] == childArg {
		os.Exit(child(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "peers:", err)
	stop()
	os.Exit(1)
}

func child(arg string) int {
	var spec unitSpec
	err := json.Unmarshal([]byte(arg), &spec)
	if err == nil {
		err = runUnit(spec, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}

// params are what the command line says.
type params struct {
	Rounds  int      `json:"rounds"`
	Best    int      `json:"quietest,omitempty"` // rounds of a cell that count, those that others disturbed least
	Seconds float64  `json:"seconds"`            // of a cell, at most
	Device  int64    `json:"device_bytes"`
	Data    int64    `json:"data_bytes"` // loaded
	Memory  int64    `json:"memory_bytes"`
	Values  []int64  `json:"value_bytes"`
	Peers   []string `json:"peers"`
	Ops     []string `json:"operations"`

	dir, json, profile, report string
}

func parse(args []string, help io.Writer) (o params, err error) {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&o.Rounds, "rounds", 3, "each peer is measured `n` times")
	fs.IntVar(&o.Best, "quietest", 0, "report only `n` rounds of each cell: those in which other processes and the hypervisor took least; 0: all")
	fs.Float64Var(&o.Seconds, "seconds", 2, "for one operation at one depth, at most")
	fs.Func("device", "`size` of the loop device; default 4G", sizeVar(&o.Device))
	fs.Func("data", "`size` of the objects loaded, and of those one operation may add; default an eighth of the device", sizeVar(&o.Data))
	fs.Func("memory", "`size` of each cache; default 512M", sizeVar(&o.Memory))
	values := fs.String("values", "4K,64K,1M,4M", "`sizes` of values")
	names := fs.String("peers", "", "measure only these `names`; default all")
	ops := fs.String("ops", strings.Join(allOps, ","), "measure only these `operations`")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "`directory` for the file behind the loop device; its file system must know direct I/O")
	fs.StringVar(&o.json, "json", "", "write options, settings and every row to this `file`")
	fs.StringVar(&o.report, "report", "", "measure nothing: print what an earlier run wrote to this `file`, with --quietest of now")
	fs.StringVar(&o.profile, "profile", "", "write a CPU profile of every cell into this `directory`; costs a little")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(help)
			fmt.Fprintln(help, "Usage: peers [flags]\nMeasures the engine beside what else keeps objects on a disk; prints Markdown.")
			fs.PrintDefaults()
		}
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("what is %q? Only flags are understood", fs.Arg(0))
	}
	if o.Device == 0 {
		o.Device = 4 << 30
	}
	if o.Memory == 0 {
		o.Memory = 512 << 20
	}
	if o.Data == 0 {
		o.Data = o.Device / 8
	}
	for _, s := range strings.Split(*values, ",") {
		v := int64(0)
		if err := sizeVar(&v)(s); err != nil {
			return o, fmt.Errorf("--values: %w", err)
		}
		o.Values = append(o.Values, v)
	}
	for _, name := range strings.Split(*names, ",") {
		if name == "" {
			continue
		}
		p, err := peerNamed(name)
		if err != nil {
			return o, fmt.Errorf("--peers: %w", err)
		}
		o.Peers = append(o.Peers, p.name)
	}
	if len(o.Peers) == 0 {
		for _, p := range peers {
			o.Peers = append(o.Peers, p.name)
		}
	}
	for _, op := range strings.Split(*ops, ",") {
		if !slices.Contains(allOps, op) {
			return o, fmt.Errorf("--ops: no operation %q; there are %s", op, strings.Join(allOps, ", "))
		}
		o.Ops = append(o.Ops, op)
	}
	return o, o.check()
}

// least is what mkfs.xfs asks for.
const least = 320 << 20

func (o *params) check() error {
	switch {
	case o.Rounds < 1 || o.Best < 0:
		return errors.New("--rounds is at least 1, --quietest at least 0")
	case !(o.Seconds > 0 && o.Seconds < 3600):
		return errors.New("--seconds is above 0 and below an hour")
	case o.Device < least || o.Device%4096 != 0:
		return fmt.Errorf("--device is a multiple of 4 KiB and at least %s", size(least))
	case o.Data < 1 || o.Data > o.Device/8:
		return fmt.Errorf("--data is at most an eighth of --device, %s", size(o.Device/8))
	case o.Memory < coldMemory:
		return fmt.Errorf("--memory is at least %s", size(coldMemory))
	}
	for _, v := range o.Values {
		if v < 4096 || v%4096 != 0 || v > 16<<20 {
			return fmt.Errorf("--values: %s is no multiple of 4 KiB up to 16 MiB", size(v))
		}
		if depths := depthsOf(opPut, int(v)); o.objects(v) < uint64(slices.Max(depths)) {
			return fmt.Errorf("--values: %s of --data are fewer objects of %s than there are callers, %d", size(o.Data), size(v), slices.Max(depths))
		}
	}
	return nil
}

// objects is how many values of that size are loaded: a power of two.
func (o *params) objects(v int64) uint64 { return 1 << bits.Len64(uint64(o.Data/v)) >> 1 }

// able says what is missing to measure at all.
func (o *params) able() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, for loop devices and mounts")
	}
	for _, name := range o.Peers {
		p, _ := peerNamed(name)
		packages := map[string]string{"ext4": "e2fsprogs", "xfs": "xfsprogs"}
		if p.fs == "" {
			continue
		}
		if _, err := exec.LookPath("mkfs." + p.fs); err != nil {
			return fmt.Errorf("%s needs mkfs.%s: apt-get install %s, or leave it out with --peers", p.name, p.fs, packages[p.fs])
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(o.dir, &st); err != nil {
		return fmt.Errorf("--dir %s: %w", o.dir, err)
	}
	if st.Type == unix.TMPFS_MAGIC {
		return fmt.Errorf("--dir %s is in RAM: choose a directory on a disk", o.dir)
	}
	if free := int64(st.Bavail) * st.Bsize; free < o.Device {
		return fmt.Errorf("--dir %s: %s free, want %s: choose another, or a smaller --device", o.dir, size(free), size(o.Device))
	}
	return nil
}

// run measures and reports. When it is stopped, it reports the rounds that are
// complete.
func run(ctx context.Context, args []string, out, talk io.Writer) (err error) {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	if o.report != "" {
		rep, err := read(o.report)
		if err == nil {
			rep.Options.Best = o.Best
			rep.markdown(out)
		}
		return err
	}
	if err := o.able(); err != nil {
		return err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if o.json != "" { // now, not after an hour
		f, err := os.OpenFile(o.json, os.O_CREATE|os.O_WRONLY, 0o644)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if o.profile != "" {
		if o.profile, err = filepath.Abs(o.profile); err != nil {
			return err
		}
		if _, err := os.ReadDir(o.profile); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	}
	fmt.Fprintf(talk, "peers: writing %s for a loop device\n", size(o.Device))
	d, err := newDisk(ctx, o.dir, o.Device)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	rep := newReport(o)
	for round := 1; round <= o.Rounds && err == nil; round++ {
		var rows []Row
		if rows, err = o.round(ctx, d, round, talk); err == nil {
			rep.add(rows)
		}
	}
	if len(rep.rows) == 0 {
		return err
	}
	if err != nil {
		fmt.Fprintf(talk, "peers: stopped; this is of %d of %d rounds\n", rep.rounds, o.Rounds)
	}
	rep.markdown(out)
	if o.json != "" {
		err = errors.Join(err, rep.write(o.json))
	}
	return err
}

// round gives every peer one turn with each size.
func (o *params) round(ctx context.Context, d *disk, round int, talk io.Writer) (rows []Row, err error) {
	for _, v := range o.Values {
		for i := range o.Peers {
			name := o.Peers[(i+round-1)%len(o.Peers)]
			spec := unitSpec{
				Peer: name, Round: round, Bytes: int(v), N: o.objects(v), Ops: o.Ops,
				Seconds: o.Seconds, Memory: o.Memory, Dev: d.loop.Name(), Dir: o.dir, Profile: o.profile,
			}
			if err := d.ready(ctx); err != nil {
				return nil, err
			}
			begin := time.Now()
			got, err := spawn(ctx, spec)
			if err != nil {
				return nil, fmt.Errorf("%s, values of %s: %w", name, size(v), err)
			}
			fmt.Fprintf(talk, "peers: round %d, %s, %s: %d cells in %.0f s\n", round, size(v), name, len(got), time.Since(begin).Seconds())
			rows = append(rows, got...)
		}
	}
	return rows, d.ready(ctx)
}

// started is told of every child; for tests.
var started = func(pid int) {}

// spawn runs a unit as a child. Whatever becomes of it, the kernel takes its
// mounts down, and it dies with us.
func spawn(ctx context.Context, spec unitSpec) (rows []Row, err error) {
	arg, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, "/proc/self/exe", childArg, string(arg))
	c.Stdout, c.Stderr = &stdout, &stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the kernel means the death of the thread
	defer runtime.UnlockOSThread()
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start a process with mounts of its own: %w", err)
	}
	started(c.Process.Pid)
	err = c.Wait()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	if err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			first, _, _ := strings.Cut(text, "\n")
			return nil, errors.New(first)
		}
		return nil, err
	}
	for dec := json.NewDecoder(&stdout); dec.More(); {
		var r Row
		if err := dec.Decode(&r); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// sizeVar reads 4096, 4K, 4M, 4G.
func sizeVar(to *int64) func(string) error {
	return func(s string) error {
		digits, shift := s, 0
		if i := strings.IndexAny(s, "KMG"); i > 0 && i == len(s)-1 {
			digits, shift = s[:i], 10+10*strings.IndexByte("KMG", s[i])
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > 1<<50>>shift {
			return fmt.Errorf("%q is no size such as 4096, 4K, 1M or 8G", s)
		}
		*to = n << shift
		return nil
	}
}

// size writes a size as people say it.
func size(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if one := int64(1) << (30 - 10*i); n >= one && n%one == 0 {
			return fmt.Sprintf("%d %s", n/one, unit)
		}
	}
	if n >= 1<<20 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}
