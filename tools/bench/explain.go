package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/internal/perf"
	"ebofs/tools/sizes"
)

// Explained says where the bytes and the time of a row went.
type Explained struct {
	UserBytes   int64            `json:"user_bytes"`             // data, keys and values, as the store counts them
	Written     map[string]int64 `json:"written"`                // by purpose, as the store counts
	DeviceBytes int64            `json:"device_bytes"`           // written, counted where the device is called
	DiskBytes   *int64           `json:"disk_bytes"`             // written, as the kernel counts for the disk; null: it does not
	Stages      map[string]Took  `json:"stages,omitempty"`       // of transactions, of one in eight
	Flush       *Took            `json:"log_flush,omitempty"`    // of the log
	Checkpoint  *Took            `json:"checkpoint,omitempty"`   // from begin to end
	LogBatch    float64          `json:"log_batch_transactions"` // committed by one flush
}

// Took is how long one thing took.
type Took struct {
	Count  uint64  `json:"count"`
	MeanUS float64 `json:"mean_us"`
	P50US  float64 `json:"p50_us"`
	P99US  float64 `json:"p99_us"`
}

func tookOf(now, before *perf.Snapshot) *Took {
	now.Sub(before)
	if now.Count == 0 {
		return nil
	}
	const us = 1e3
	return &Took{now.Count, now.Mean() / us, float64(now.Quantile(0.5)) / us, float64(now.Quantile(0.99)) / us}
}

// glance is what a store, its device and its disk have counted until a moment.
type glance struct {
	metrics ebofs.Metrics
	device  int64
	disk    int64
}

func (b *bench) glance() glance {
	g := glance{metrics: b.store.Metrics(), device: b.dev.written.Load()}
	g.disk, _ = b.disk.written()
	return g
}

// observed adds up slices of a row.
type observed struct {
	user, device, disk int64
	written            ebofs.Written
	records, flushes   uint64
	stages             [ebofs.Stages]perf.Snapshot // before
	flush, checkpoint  perf.Snapshot
}

// begin notes the latencies before a row.
func (o *observed) begin(l *ebofs.Latencies) {
	for g := range o.stages {
		l.Stages[g].Snapshot(&o.stages[g])
	}
	l.LogFlush.Snapshot(&o.flush)
	l.Checkpoint.Snapshot(&o.checkpoint)
}

// slice adds one.
func (o *observed) slice(before, after glance) {
	o.user += after.metrics.UserBytes - before.metrics.UserBytes
	o.written = o.written.Add(after.metrics.Written.Sub(before.metrics.Written))
	o.device += after.device - before.device
	o.disk += after.disk - before.disk
	o.records += after.metrics.Log.Records - before.metrics.Log.Records
	o.flushes += after.metrics.Log.Flushes - before.metrics.Log.Flushes
}

// end returns the explanation, with what was noted since begin.
func (o *observed) end(l *ebofs.Latencies, d disk) *Explained {
	e := &Explained{UserBytes: o.user, Written: byPurpose(o.written), DeviceBytes: o.device, Stages: map[string]Took{}}
	if _, ok := d.written(); ok {
		e.DiskBytes = &o.disk
	}
	var now perf.Snapshot
	for g := range o.stages {
		l.Stages[g].Snapshot(&now)
		if t := tookOf(&now, &o.stages[g]); t != nil {
			e.Stages[ebofs.Stage(g).String()] = *t
		}
	}
	l.LogFlush.Snapshot(&now)
	e.Flush = tookOf(&now, &o.flush)
	l.Checkpoint.Snapshot(&now)
	e.Checkpoint = tookOf(&now, &o.checkpoint)
	if o.flushes > 0 {
		e.LogBatch = float64(o.records) / float64(o.flushes)
	}
	return e
}

// String returns two lines for a person, indented below a row.
func (e *Explained) String() string {
	var s strings.Builder
	s.WriteString("  bytes   ")
	for p := range ebofs.Purposes {
		if n := e.Written[p.String()]; n > 0 {
			fmt.Fprintf(&s, "%v %s, ", p, sizes.Short(uint64(n)))
		}
	}
	fmt.Fprintf(&s, "of the user %s; at the device %s", sizes.Short(uint64(e.UserBytes)), sizes.Short(uint64(e.DeviceBytes)))
	if sum := e.sum(); sum != e.DeviceBytes {
		fmt.Fprintf(&s, ", which is not the sum, %d bytes less", e.DeviceBytes-sum)
	}
	if e.DiskBytes != nil {
		fmt.Fprintf(&s, ", at the disk %s", sizes.Short(uint64(*e.DiskBytes)))
	}
	s.WriteString("\n  stages  ")
	for g := range ebofs.Stages {
		if t, ok := e.Stages[g.String()]; ok {
			fmt.Fprintf(&s, "%v %s (p99 %s), ", g, micros(t.MeanUS), micros(t.P99US))
		}
	}
	for _, x := range []struct {
		name string
		t    *Took
	}{{"log flush", e.Flush}, {"checkpoint", e.Checkpoint}} {
		if x.t != nil {
			fmt.Fprintf(&s, "a %s %s (p99 %s), ", x.name, micros(x.t.MeanUS), micros(x.t.P99US))
		}
	}
	fmt.Fprintf(&s, "%.1f transactions a log flush", e.LogBatch)
	return s.String()
}

// sum is what the store counts in all.
func (e *Explained) sum() (n int64) {
	for _, m := range e.Written {
		n += m
	}
	return n
}

// disk is the kernel's statistics of a disk or partition; "" if there are none.
type disk string

// diskOf finds the statistics of a device.
func diskOf(dev devices.Device) disk {
	id, ok := dev.(devices.Identity)
	if !ok {
		return ""
	}
	var st unix.Stat_t
	if unix.Stat(id.Path(), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return ""
	}
	return disk(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
}

// written returns the bytes written so far.
func (d disk) written() (int64, bool) {
	if d == "" {
		return 0, false
	}
	p, err := os.ReadFile(string(d))
	fields := strings.Fields(string(p))
	if err != nil || len(fields) < 7 {
		return 0, false
	}
	sectors, err := strconv.ParseInt(fields[6], 10, 64)
	return sectors * 512, err == nil
}
