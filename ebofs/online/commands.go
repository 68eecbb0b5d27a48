package online

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/internal/asok"
	"ebofs/internal/perf"
)

// Options say which store the commands are about. Store and Path must be given.
type Options struct {
	Store *ebofs.Store
	Path  string // of the main device, absolute

	// Device and LogDevice are read by checks; nil: those of the store, where its
	// own I/O goes first.
	Device, LogDevice devices.Device

	Level  *slog.LevelVar // what "log level" sets; nil: there is no such command
	Logger *slog.Logger   // default: nothing is logged
	Now    func() time.Time
}

// Commands are the commands about one store.
type Commands struct {
	o    Options
	wg   sync.WaitGroup
	stop context.Context
	end  context.CancelCauseFunc

	mu   sync.Mutex
	last int  // number of the newest job
	job  *job // the newest; nil: there was none

	defrag *defrag // likewise
}

// New returns the commands of a store. Close ends them before the store is closed.
func New(o Options) *Commands {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Device == nil {
		main, log := o.Store.Devices()
		if o.Device = main; log != nil {
			o.LogDevice = log
		}
	}
	c := &Commands{o: o}
	c.stop, c.end = context.WithCancelCause(context.Background())
	return c
}

// Close stops what runs, a check or a defragmentation, and waits for it.
func (c *Commands) Close() {
	c.end(errEnds)
	c.wg.Wait()
}

// List returns what to register.
func (c *Commands) List() []asok.Command {
	list := []asok.Command{
		{Name: "store status", Help: "say which store this is, where, and how it is", Run: c.status},
		{Name: "store free", Help: "say how full it is, in bytes", Run: c.free},
		{Name: "store check start", Help: "check the store while it is in use", Run: c.checkStart, Args: []asok.Arg{
			{Name: "level", Kind: asok.Choice, Choices: []string{"quick", "full", "deep"}, Help: "how thoroughly, default full"},
			{Name: "rate", Kind: asok.Int, Help: fmt.Sprintf("bytes to read a second, 0 for no limit, default %d", int64(DefaultRate))},
			{Name: "memory", Kind: asok.Int, Help: "bytes of the maps of blocks"},
			{Name: "lease", Kind: asok.Int, Help: "seconds after which it is stopped if nobody asks, 0 for never, default 60"},
			{Name: "position", Kind: asok.String, Help: "where an earlier check was, as its status said"},
		}},
		{Name: "store check status", Help: "say how far the check is, and what it found once it has ended", Run: c.checkStatus, Args: []asok.Arg{
			{Name: "id", Kind: asok.Int, Help: "of the check"},
			{Name: "report", Kind: asok.Bool, Help: "say what was found so far while it runs, too"},
		}},
		{Name: "store check cancel", Help: "stop the check and say what it found", Run: c.checkCancel, Args: []asok.Arg{{Name: "id", Kind: asok.Int, Help: "of the check"}}},
		{Name: "perf dump", Help: "print the counters", Run: c.perf},
		{Name: "config show", Help: "print the options in force", Run: c.config},
	}
	list = append(list, c.defragCommands()...)
	if c.o.Level != nil {
		list = append(list, asok.Command{Name: "log level", Help: "print or set what is logged", Run: c.level,
			Args: []asok.Arg{{Name: "level", Kind: asok.Choice, Choices: []string{"debug", "info", "warn", "error"}}}})
	}
	return list
}

// Status is what "store status" answers.
type Status struct {
	Store       string `json:"store"`
	Label       string `json:"label,omitempty"`
	Path        string `json:"path"`
	Epoch       uint64 `json:"epoch"` // of the newest durable checkpoint
	Bytes       uint64 `json:"bytes"` // of the device that are its own
	State       string `json:"state"` // "ok", or why it takes no changes
	DirtyOnodes int    `json:"dirty_onodes"`
	DirtyBytes  int64  `json:"dirty_bytes"`
	GivenUp     int64  `json:"given_up"` // nodes, objects and zones marked as damaged since it was opened
	Check       string `json:"check"`    // state of the newest check
}

// status waits for nothing, so that a store that hangs can be asked, too.
func (c *Commands) status(context.Context, *asok.Request) (any, error) {
	sb, m := c.o.Store.Superblock(), c.o.Store.Metrics()
	s := Status{Store: sb.FSID.String(), Label: sb.Text, Path: c.o.Path, Epoch: sb.Epoch, Bytes: sb.Blocks * devices.BlockSize,
		State: "ok", DirtyOnodes: m.DirtyOnodes, DirtyBytes: m.DirtyBytes, GivenUp: m.GivenUp, Check: Idle}
	if err := c.o.Store.Err(); err != nil {
		s.State = err.Error()
	}
	c.mu.Lock()
	j := c.job
	c.mu.Unlock()
	if j != nil {
		s.Check = j.status().State
	}
	return s, nil
}

func (c *Commands) free(context.Context, *asok.Request) (any, error) {
	st, err := c.o.Store.Statfs()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, syscall.ESHUTDOWN)
	}
	return map[string]any{
		"total_bytes": st.Total, "free_bytes": st.Free, "available_bytes": st.Available, "limbo_bytes": st.Limbo, "used_bytes": st.Used,
		"reserve_bytes": st.Reserve, "promised_bytes": st.Promised, "objects": st.Objects,
		"data_bytes": st.Data, "meta_bytes": st.Meta, "stored_bytes": st.Stored,
	}, nil
}

// perf has the counters below the name of what counts, as Ceph's daemons do.
func (c *Commands) perf(context.Context, *asok.Request) (any, error) {
	m := c.o.Store.Metrics()
	stages := map[string]uint64{}
	l := c.o.Store.Latencies()
	for g := range l.Stages {
		var p perf.Snapshot
		l.Stages[g].Snapshot(&p)
		name := ebofs.Stage(g).String()
		stages[name+"_count"], stages[name+"_ns"] = p.Count, p.Sum
	}
	written := map[string]int64{"total_bytes": m.Written.Total()}
	for p, n := range m.Written {
		written[ebofs.Purpose(p).String()+"_bytes"] = n
	}
	main, log := c.o.Store.Devices()
	answer := map[string]any{
		"ebofs": map[string]any{
			"transactions": m.Transactions, "checkpoints": m.Checkpoints, "checkpoint_ns": m.CheckpointNanos,
			"user_bytes": m.UserBytes,
			"read_bytes": m.ReadBytes, "read_hits": m.ReadHits, "read_misses": m.ReadMisses, "retried_reads": m.RetriedReads,
			"corruptions": m.Corruptions, "given_up": m.GivenUp, "dirty_onodes": m.DirtyOnodes, "dirty_bytes": m.DirtyBytes,
			"free_blocks": m.FreeBlocks, "limbo_blocks": m.LimboBlocks,
		},
		"ebofs_stages":  stages,
		"ebofs_written": written,
		"ebofs_log": map[string]any{
			"records": m.Log.Records, "payload_bytes": m.Log.PayloadBytes, "batches": m.Log.Batches, "fillers": m.Log.Fillers,
			"flushes": m.Log.Flushes, "write_bytes": m.Log.Bytes, "padding_bytes": m.Log.PaddingBytes, "skipped_bytes": m.Log.SkippedBytes,
			"max_batch_bytes": m.Log.MaxBatchBytes,
		},
	}
	perfDevice(answer, "ebofs_io", main)
	if log != nil {
		perfDevice(answer, "ebofs_log_io", log)
	}
	return answer, nil
}

// perfDevice adds what a device's scheduler has counted, by class of I/O.
func perfDevice(answer map[string]any, name string, d *devices.Scheduler) {
	io := map[string]any{"background_limit": d.BackgroundLimit()}
	if f, ok := d.Device.(*devices.File); ok {
		io["ring_calls"] = f.RingCalls() // the others blocked
	}
	answer[name] = io
	for c := range devices.Class(devices.NumClasses) {
		x := d.Class(c)
		var took perf.Snapshot
		x.Took.Snapshot(&took)
		answer[name+"_"+c.String()] = map[string]any{
			"calls": x.Calls, "bytes": x.Bytes, "flushes": x.Flushes, "inside": x.Inside, "waits": x.Waits, "wait_ns": x.WaitNanos,
			"timed": took.Count, "p50_ns": took.Quantile(0.5), "p99_ns": took.Quantile(0.99), "max_ns": took.Max,
		}
	}
}

func (c *Commands) config(context.Context, *asok.Request) (any, error) {
	o := c.o.Store.Options()
	return map[string]any{
		"memory_bytes": o.MemoryBytes, "max_onodes": o.MaxOnodes, "max_dirty_bytes": o.MaxDirtyBytes,
		"checkpoint_interval_seconds": o.CheckpointInterval.Seconds(), "read_only": o.ReadOnly, "log_device": o.LogDevice != nil,
	}, nil
}

func (c *Commands) level(_ context.Context, r *asok.Request) (any, error) {
	if r.Has("level") {
		var l slog.Level
		if err := l.UnmarshalText([]byte(r.String("level"))); err != nil {
			return nil, err
		}
		c.o.Level.Set(l)
	}
	return map[string]string{"level": c.o.Level.Level().String()}, nil
}
