package check

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// ErrNoStore is returned when there is no trace of a store on the device.
var ErrNoStore = errors.New("no store here")

// Options say how thorough a check is and what it may use. The zero value is a
// quick check.
type Options struct {
	Level Level
	// Super, if set, names the checkpoint to check instead of the newest one: one
	// that is pinned or kept while the store goes on. Labels, superblock slots and
	// log are of the newest and left alone.
	Super *layout.Superblock
	// LogDevice is the device that holds the log if it is not the main one.
	LogDevice devices.Device
	// Replay returns a device that shows the store as the next mount would make
	// it, with the log replayed, and changes nothing. It is called when the log
	// has records; trees and data are then checked there. nil: what the last
	// checkpoint left is checked.
	Replay func(context.Context) (devices.Device, error)
	// Online says that the store is in use, and which checkpoint of it to check.
	Online *Online
	// MemoryBytes bounds the maps of blocks and ids; default 64 MiB, at least 1
	// MiB. One pass over the trees covers 8 blocks for every 3 bytes of four
	// fifths of it: 570 GiB by default, and a tenth of that on a store with clones.
	MemoryBytes int64
	// Workers check objects in parallel; default: one a thread of Go, and no fewer
	// than 8, for they wait for the device.
	Workers int
	// MaxProblems bounds Report.Problems; default 10000. More are counted only.
	MaxProblems int
	// Progress is called from time to time, never twice at once.
	Progress func(Progress)
	// Now is the clock for Report.Seconds; default time.Now.
	Now func() time.Time
}

// Progress says how far a check is.
type Progress struct {
	Phase string // as in Report.Phases
	Pass  int    // over the trees, from 0
	Done  uint64 // objects looked at in this pass
	Total uint64 // objects there are, 0: not yet known

	// Of a check of a store in use: what is done so far, and a function that returns
	// what was found by then and maybe since. It may be called at any time.
	Position Position
	Report   func() *Report
}

// checker is one run.
type checker struct {
	view
	o   Options
	rep Report
	out collector

	pool *devices.Pool
	main *reader
	log  *reader // where the ring is; nil: missing
	ld   loader

	root  *layout.RootRecord
	table []layout.ZoneEntry // nil: all zones are free
	own   []layout.Extent    // blocks of what the root record names

	tableLost bool // a part of the zone table could not be read: what is free is unknown

	configs [layout.TreeExtents + 1]*btree.Config

	ids      []uint64 // bitmap of object ids seen; nil: too many
	progress atomic.Uint64
	telling  sync.Mutex  // held during Options.Progress
	broken   atomic.Bool // some tree could not be walked whole

	refsBroken atomic.Bool // the refs tree could not

	at position // of a check of a store in use
}

// view is what is known of the store's geometry.
type view struct {
	sb    layout.Superblock
	place layout.Placement
	fixed []layout.Extent
}

// inZones reports an extent that is not wholly inside the zones, or covers a block
// that no one may own.
func (v *view) inZones(e layout.Extent) error {
	b := e.Addr.Block()
	if e.Blocks == 0 || e.Addr.Device() != 0 || b < v.place.ZoneStart || b >= v.place.ZoneEnd || e.Blocks > v.place.ZoneEnd-b {
		return &layout.Corruption{Kind: "extent", Addr: e.Addr, Field: "blocks", Got: e.String(),
			Want: fmt.Sprintf("within 0:%d~%d", v.place.ZoneStart, v.place.ZoneEnd-v.place.ZoneStart), Err: errRange}
	}
	for _, f := range v.fixed {
		if f.Overlaps(e) {
			return &layout.Corruption{Kind: "extent", Addr: e.Addr, Field: "blocks", Got: e.String(), Want: "outside the reserved " + f.String(), Err: errRange}
		}
	}
	return nil
}

var errRange = errors.New("outside the zones")

// Run checks the store on dev. An error means that it could not be checked: there
// is no store (ErrNoStore), no superblock is sound (layout.ErrNoSuperblock), it is
// of a format or feature this program does not know (layout.ErrNewer,
// layout.ErrFeature), its superblocks contradict each other (layout.ErrDisagree),
// or ctx ended, for the cause it gives. The report then holds what was found so
// far. Everything else is in the report.
func Run(ctx context.Context, dev devices.Device, o Options) (*Report, error) {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = 64 << 20
	}
	o.MemoryBytes = max(o.MemoryBytes, 1<<20)
	if o.Workers <= 0 {
		o.Workers = max(runtime.GOMAXPROCS(0), 8)
	}
	if o.MaxProblems <= 0 {
		o.MaxProblems = 10000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &checker{o: o, rep: Report{Level: o.Level.String(), Mode: "read-only", Problems: []Problem{}, Complete: true}}
	c.out = collector{rep: &c.rep, max: o.MaxProblems, repairs: repairOf()}
	c.pool = devices.NewPool(devices.PoolOptions{})
	c.main = &reader{dev: dev, blocks: dev.Geometry().Blocks, pool: c.pool}
	c.ld = loader{r: c.main, v: &c.view}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.Online != nil {
		c.goOnline(cancel)
	}
	begin := o.Now()
	err := c.run(ctx)
	c.rep.Seconds = o.Now().Sub(begin).Seconds()
	for _, r := range [...]*reader{c.main, c.log} {
		if r != nil {
			c.rep.Counts.BytesRead += r.bytes.Load()
			c.rep.Counts.Retried += r.retried.Load()
		}
		if c.log == c.main {
			break
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if o.Online != nil {
		at := c.at.now()
		c.rep.Position, c.rep.Parts = at, c.at.parts(c.rep.Epoch, *at)
	}
	return &c.rep, errors.Join(err, c.pool.Close())
}

func (c *checker) run(ctx context.Context) error {
	for _, step := range [...]struct {
		name string
		do   func(context.Context, *Phase) error
	}{{"labels, superblocks", c.checkSupers}, {"log", c.checkLog}, {"root", c.checkRoot}} {
		ph := c.out.begin(step.name)
		c.tell(step.name, 0)
		err := step.do(ctx, ph)
		c.out.end()
		if err != nil {
			return err
		}
	}
	if c.o.Level == Quick || c.root == nil {
		return c.checkKept(ctx)
	}
	for k := layout.TreeCollections; k <= layout.TreeExtents; k++ {
		c.configs[k] = config(k, c.sb.FSID)
	}
	if err := c.checkTrees(ctx); err != nil {
		return err
	}
	return c.checkKept(ctx)
}

// noData says that the device holds an image without data.
func (c *checker) noData() bool { return c.sb.Features.Incompat&layout.FeatMetadataOnly != 0 }

// tell reports progress.
func (c *checker) tell(phase string, pass int) {
	if c.o.Progress == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	p := Progress{Phase: phase, Pass: pass, Done: c.progress.Load()}
	if c.root != nil {
		p.Total = c.root.Counters.Objects
	}
	if c.o.Online != nil {
		at := *c.at.now()
		p.Position, p.Report = at, func() *Report { return c.soFar(at) }
	}
	c.o.Progress(p)
}
