package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/strict"
	"ebofs/osd"
	"ebofs/osd/ebofsstore"
)

// Options shape a store under test.
type Options struct {
	LogBytes    uint64 // of the log; 0: as mkfs decides
	StripeBytes uint32 // 0: as the device reports
	Hard        bool   // the device claims hard stripes of StripeBytes, and refuses others; see Strict
	UnitBytes   uint32 // with Hard; 0: StripeBytes
	AlignBytes  uint64 // with Hard: first boundary
	SizeBytes   uint64 // of the device, used; 0: all
	KeepEpochs  int    // checkpoints that stay readable
	Background  bool   // checkpoints and loads on goroutines of the store
	ReadOnly    bool
	AtEpoch     uint64 // with ReadOnly: a kept epoch
	MaxOnodes   int    // decoded onodes kept; 0: as memory allows
	DirtyBytes  int64  // journaled data kept; 0: as memory allows
	DirectFrom  int    // see ebofs.Options, as is the next
	Warm        bool

	LogDevice devices.Device         // nil: the log lies on the main device
	Refuse    func(kind string) bool // see ebofs.Options
}

// A store here lives for milliseconds, and another takes its memory.
func init() { devices.KeepArenas(2 * runtime.GOMAXPROCS(0)) }

// MemoryBytes is the budget of every store here: the least there is.
const MemoryBytes = 64 << 20

// Format makes an empty store whose ids are always the same.
func Format(ctx context.Context, dev devices.Device, o Options) error {
	if o.Hard {
		d, err := strict.New(dev, o.shape(), strict.All)
		if err != nil {
			return err
		}
		dev, o.StripeBytes = d, 0
	}
	_, err := ebofs.Format(ctx, dev, ebofs.FormatOptions{
		UUID: [16]byte{1, 2, 3}, DeviceUUID: [16]byte{4, 5, 6}, LogBytes: o.LogBytes, StripeBytes: o.StripeBytes, SizeBytes: o.SizeBytes, KeepEpochs: o.KeepEpochs, LogDevice: o.LogDevice, Now: noon,
	})
	return err
}

// OnRAID is o on the data of a RAID-5 of six disks with chunks of 64 KiB, from a
// place inside a row on.
func (o Options) OnRAID() Options {
	o.Hard, o.StripeBytes, o.UnitBytes, o.AlignBytes = true, 5*64<<10, 64<<10, 72<<10
	return o
}

// OnFlash is o on flash that writes units of 16 KiB.
func (o Options) OnFlash() Options {
	o.Hard, o.StripeBytes = true, 16<<10
	return o
}

// shape is what the device claims of its stripes.
func (o *Options) shape() strict.Shape {
	return strict.Shape{Stripe: o.StripeBytes, Unit: o.UnitBytes, Align: o.AlignBytes}
}

// Whole prints what the stores of hard geometry of a test program wrote and returns
// its exit code, given code: a partial stripe fails it, whoever overlooked the error
// of that write.
func Whole(code int) int { return strict.All.Report(code) }

// Strict is dev as Format and Open with o use it: of hard geometry if o says so, and
// then refusing partial stripes.
func Strict(ctx context.Context, dev devices.Device, o Options) (devices.Device, error) {
	if !o.Hard {
		return dev, nil
	}
	return strict.Open(ctx, dev, o.shape(), strict.All)
}

// noon is the clock of stores that are to do the same every time.
func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// Store is a mounted store as an osd.ObjectStore.
type Store struct{ s *ebofs.Store }

// Open mounts the store on dev.
func Open(ctx context.Context, dev devices.Device, o Options) (*Store, error) {
	opt := ebofs.Options{
		Inline: !o.Background, ReadOnly: o.ReadOnly, AtEpoch: o.AtEpoch, MemoryBytes: MemoryBytes, MaxOnodes: o.MaxOnodes, MaxDirtyBytes: o.DirtyBytes,
		DirectFrom: o.DirectFrom, Warm: o.Warm, LogDevice: o.LogDevice, Refuse: o.Refuse,
	}
	if opt.Inline {
		opt.Now = noon
	}
	dev, err := Strict(ctx, dev, o)
	if err != nil {
		return nil, err
	}
	s, err := ebofs.Open(ctx, dev, opt)
	if err != nil {
		return nil, words(err)
	}
	return &Store{s}, nil
}

// Engine returns the store itself.
func (s *Store) Engine() *ebofs.Store { return s.s }

// words adds the sentinel of osd that an error of the engine corresponds to.
func words(err error) error {
	if err == nil {
		return nil
	}
	for _, w := range []struct{ theirs, ours error }{
		{ebofs.ErrNotFound, osd.ErrNotFound},
		{ebofs.ErrExists, osd.ErrExists},
		{ebofs.ErrNotEmpty, osd.ErrNotEmpty},
		{ebofs.ErrNoSpace, osd.ErrNoSpace},
		{ebofs.ErrCorrupt, osd.ErrCorrupt},
		{ebofs.ErrReadOnly, osd.ErrReadOnly},
		{ebofs.ErrClosed, osd.ErrClosed},
		{ebofs.ErrTooLarge, osd.ErrTooLarge},
		{ebofs.ErrInvalid, osd.ErrInvalid},
		{ebofs.ErrUnsupported, osd.ErrUnsupported},
	} {
		if errors.Is(err, w.theirs) && !errors.Is(err, w.ours) {
			return fmt.Errorf("%w: %w", w.ours, err)
		}
	}
	return err
}

// Queue applies t.
func (s *Store) Queue(ctx context.Context, t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	x, err := ebofsstore.Convert(t)
	if err != nil {
		return err
	}
	return words(s.s.Queue(ctx, x, onApplied, onCommit))
}

// Sync waits for the commit of all that was queued.
func (s *Store) Sync(ctx context.Context) error { return words(s.s.Sync(ctx)) }

// Grow lets the store use all of its device.
func (s *Store) Grow(ctx context.Context) error {
	_, err := s.s.Grow(ctx, 0)
	return words(err)
}

// Checkpoint makes all that was queued part of the durable trees.
func (s *Store) Checkpoint(ctx context.Context) error { return words(s.s.Checkpoint(ctx)) }

// Read fills p from byte off.
func (s *Store) Read(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off uint64, p []byte) (int, error) {
	n, err := s.s.Read(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), off, p)
	return n, words(err)
}

// Stat tells the size.
func (s *Store) Stat(ctx context.Context, c osd.CollectionID, o osd.ObjectID) (osd.ObjectStat, error) {
	st, err := s.s.Stat(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o))
	return osd.ObjectStat{SizeBytes: st.Size}, words(err)
}

// Fiemap lists what may not be zero.
func (s *Store) Fiemap(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off, n uint64) ([]osd.Extent, error) {
	list, err := s.s.Fiemap(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), off, n)
	es := make([]osd.Extent, len(list))
	for i, e := range list {
		es[i] = osd.Extent{Off: e.Offset, Len: e.Length}
	}
	return es, words(err)
}

// Attr returns one attr.
func (s *Store) Attr(ctx context.Context, c osd.CollectionID, o osd.ObjectID, name string) ([]byte, error) {
	v, err := s.s.GetAttr(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), name)
	return v, words(err)
}

// Attrs returns all of them.
func (s *Store) Attrs(ctx context.Context, c osd.CollectionID, o osd.ObjectID) (map[string][]byte, error) {
	m, err := s.s.GetAttrs(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o))
	return m, words(err)
}

// OmapHeader returns the header.
func (s *Store) OmapHeader(ctx context.Context, c osd.CollectionID, o osd.ObjectID) ([]byte, error) {
	h, err := s.s.OmapHeader(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o))
	return h, words(err)
}

// OmapGet returns those of keys that exist.
func (s *Store) OmapGet(ctx context.Context, c osd.CollectionID, o osd.ObjectID, keys []string) (map[string][]byte, error) {
	m, err := s.s.OmapGet(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), keys)
	return m, words(err)
}

// OmapCheck returns those of keys that exist, sorted.
func (s *Store) OmapCheck(ctx context.Context, c osd.CollectionID, o osd.ObjectID, keys []string) ([]string, error) {
	ks, err := s.s.OmapCheck(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), keys)
	return ks, words(err)
}

// OmapIter shows the keys of [first, last).
func (s *Store) OmapIter(ctx context.Context, c osd.CollectionID, o osd.ObjectID, first, last string, fn func(k string, v []byte) bool) error {
	return words(s.s.OmapIter(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), first, last, func(k, v []byte) bool { return fn(string(k), v) }))
}

// List returns a page of objects.
func (s *Store) List(ctx context.Context, c osd.CollectionID, start, end *osd.ObjectID, max int) ([]osd.ObjectID, *osd.ObjectID, error) {
	list, next, err := s.s.List(ctx, ebofs.CollectionID(c), (*ebofs.ObjectID)(start), (*ebofs.ObjectID)(end), max)
	ids := make([]osd.ObjectID, len(list))
	for i, id := range list {
		ids[i] = osd.ObjectID(id)
	}
	return ids, (*osd.ObjectID)(next), words(err)
}

// Collections returns every collection.
func (s *Store) Collections(ctx context.Context) ([]osd.CollectionID, error) {
	list, err := s.s.Collections(ctx)
	cs := make([]osd.CollectionID, len(list))
	for i, c := range list {
		cs[i] = osd.CollectionID(c)
	}
	return cs, words(err)
}

// Collection returns the range of c.
func (s *Store) Collection(_ context.Context, c osd.CollectionID) (osd.CollectionSpec, error) {
	spec, err := s.s.CollectionSpec(ebofs.CollectionID(c))
	return osd.CollectionSpec(spec), words(err)
}

// Statfs tells the space that ordinary writes may take.
func (s *Store) Statfs(context.Context) (osd.Statfs, error) {
	st, err := s.s.Statfs()
	return osd.Statfs{TotalBytes: st.Total, FreeBytes: st.Available}, words(err)
}

// Close commits and gives up the device.
func (s *Store) Close(ctx context.Context) error { return words(s.s.Close(ctx)) }
