package image

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// SaveOptions say what an image is to hold.
type SaveOptions struct {
	LogDevice  devices.Device // of a store whose log is on a device of its own; nil: left out
	PlainNames bool           // keep names
	// Seed of the scrambling; zero: a random one. Who knows it can tell names that
	// he guesses from others.
	Seed     [32]byte
	Progress func(phase string, nodes uint64)
	Now      func() time.Time
}

// Saved is what Save did.
type Saved struct {
	Store    string `json:"store"`
	Epoch    uint64 `json:"epoch"`
	Clean    bool   `json:"clean"`
	Plain    bool   `json:"plain_names"`
	Log      string `json:"log"`      // "on the device", "on its own device", "missing"
	Names    uint64 `json:"names"`    // different ones, scrambled
	Nodes    uint64 `json:"nodes"`    // of trees
	Blocks   uint64 `json:"blocks"`   // whose content is in the image
	Withheld uint64 `json:"withheld"` // blocks: unreadable, or damaged beyond telling metadata from data
}

// readTries is how often a read is tried: some devices answer wrongly once.
const readTries = 3

// kinds of names, each scrambled on its own.
const (
	objectNames = iota
	collectionNames
	attrNames
	omapNames
	nameKinds
)

// saver is one run of Save.
type saver struct {
	ctx  context.Context
	o    SaveOptions
	pool *devices.Pool
	devs map[uint8]devices.Device
	out  *writer // nil while names are collected
	res  Saved
	err  error // the first

	names   [nameKinds]*names
	seen    map[layout.Ref]uint32 // by which bits the checksum of a structure changed
	older   bool                  // at hand is what an older superblock leads to
	editors editors
}

// Save writes an image of the store on dev to w. A store none of whose superblocks
// is sound has no structure to be found from: that is an error.
func Save(ctx context.Context, dev devices.Device, w io.Writer, o SaveOptions) (res Saved, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Seed == ([32]byte{}) {
		if _, err := rand.Read(o.Seed[:]); err != nil {
			return res, err
		}
	}
	found, err := ebofs.Find(ctx, dev)
	if found.Super.Generation == 0 {
		if err == nil {
			err = ebofs.ErrNoStore
		}
		return res, err
	}
	sb := &found.Super
	if sb.Role != layout.RoleMain || sb.Index != 0 {
		return res, fmt.Errorf("device is the %v of store %s, not its main device: %w", sb.Role, sb.FSID.Short(), ebofs.ErrInvalid)
	}
	s := &saver{ctx: ctx, o: o, pool: devices.NewPool(devices.PoolOptions{}), devs: map[uint8]devices.Device{0: dev}}
	defer func() { err = errors.Join(err, s.pool.Close()) }()
	for k := range s.names {
		s.names[k] = newNames(o.Seed, byte(k), k == objectNames)
	}
	s.editors = s.newEditors()
	h := Header{FSID: sb.FSID, Made: o.Now()}
	s.res = Saved{Store: sb.FSID.String(), Epoch: sb.Epoch, Clean: sb.Clean(), Plain: o.PlainNames, Log: "on the device"}
	var logFound ebofs.Found
	if len(sb.Rings) > 0 && sb.Rings[0].Start.Device() != 0 {
		if s.res.Log = "on its own device"; o.LogDevice == nil {
			s.res.Log = "missing"
			h.Flags |= NoLog
		} else if logFound, err = s.logDevice(sb); err != nil {
			return res, err
		}
	}
	if o.PlainNames {
		h.Flags |= PlainNames
	} else {
		s.structures(&found)
		for _, n := range s.names {
			n.seal()
			s.res.Names += uint64(len(n.all))
		}
	}
	if s.err == nil {
		s.out, s.err = newWriter(w, h)
	}
	if s.err != nil {
		return res, s.err
	}
	s.res.Nodes = 0
	s.emit(Entry{Kind: Device, Block: dev.Geometry().Blocks})
	if l := s.devs[logFound.Super.Index]; logFound.Super.Generation > 0 {
		s.emit(Entry{Kind: Device, Device: logFound.Super.Index, Block: l.Geometry().Blocks})
	}
	s.structures(&found)
	if logFound.Super.Generation > 0 {
		s.copies(logFound.Super.Index, &logFound)
	}
	s.copies(0, &found)
	return s.res, errors.Join(s.err, s.out.end())
}

// logDevice checks that the log device is the store's.
func (s *saver) logDevice(sb *layout.Superblock) (ebofs.Found, error) {
	f, err := ebofs.Find(s.ctx, s.o.LogDevice)
	if err != nil {
		return f, fmt.Errorf("log device: %w", err)
	}
	idx := sb.Rings[0].Start.Device()
	if want := sb.Devices[idx]; f.Super.FSID != sb.FSID || f.Super.DeviceUUID != want.UUID || f.Super.Index != idx {
		return f, fmt.Errorf("%w: this is device %d of store %s, wanted device %d (%v) of store %s", ebofs.ErrLogMissing, f.Super.Index, f.Super.FSID.Short(), idx, want.UUID, sb.FSID.Short())
	}
	s.devs[idx] = s.o.LogDevice
	return f, nil
}

// structures goes over all that the superblocks lead to, the oldest first: what an
// older one takes for a node may be something else by now, and the newest says last
// what it is.
func (s *saver) structures(f *ebofs.Found) {
	s.seen = make(map[layout.Ref]uint32)
	var sbs []*layout.Superblock
	for i := range f.Slots {
		sb, err := layout.DecodeSuperblock(f.Slots[i].Data)
		if err == nil && sb.FSID == f.Super.FSID && !slices.ContainsFunc(sbs, func(x *layout.Superblock) bool { return x.Generation == sb.Generation }) {
			sbs = append(sbs, &sb)
		}
	}
	slices.SortFunc(sbs, func(a, b *layout.Superblock) int { return int(int64(a.Generation) - int64(b.Generation)) })
	for i, sb := range sbs {
		s.older = i < len(sbs)-1
		s.rootRecord(sb.Root, sb.FSID)
	}
	s.older = false
	s.logs(sbs)
}

// copies copies labels and superblock slots of a device; the label at its start is
// last, so that an interrupted restore leaves none.
func (s *saver) copies(dev uint8, f *ebofs.Found) {
	one := func(block uint64) {
		p := s.read(dev, block, 1)
		if p == nil {
			return
		}
		text := byte('x')
		if s.o.PlainNames {
			text = 0
		}
		if !layout.EditCopy(p, text, layout.FeatMetadataOnly, func(r layout.Ref) uint32 { return r.CRC ^ s.seen[r] }) {
			s.strange(dev, block, p)
			return
		}
		s.put(dev, block, p)
	}
	// A wrong label may name other slots than the superblock.
	places := layout.SlotBlocks(f.Super.Blocks)
	at := slices.Concat(places[:], layout.LabelBlocks(f.Super.Blocks))
	for i := range f.Slots {
		at = append(at, f.Slots[i].Addr.Block())
	}
	for i := range f.Labels {
		at = append(at, f.Labels[i].Block)
	}
	slices.Sort(at)
	for _, b := range slices.Backward(slices.Compact(at)) {
		one(b)
	}
}

// read returns a copy of blocks; nil if they cannot be read, which it notes.
func (s *saver) read(dev uint8, block uint64, n int) []byte {
	d := s.devs[dev]
	if s.failed() || d == nil || block >= d.Geometry().Blocks || uint64(n) > d.Geometry().Blocks-block {
		return nil
	}
	f := s.pool.Get(n * layout.BlockSize)
	defer f.Release()
	for range readTries {
		if d.Read(s.ctx, devices.Block(block), devices.Vec{f.Bytes()}) == nil {
			return slices.Clone(f.Bytes())
		}
		if s.failed() {
			return nil
		}
	}
	s.withhold(dev, block, uint32(n))
	return nil
}

// failed reports whether it is over.
func (s *saver) failed() bool {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	return s.err != nil
}

// put writes blocks that are metadata.
func (s *saver) put(dev uint8, block uint64, p []byte) {
	if s.out == nil {
		return
	}
	s.res.Blocks += uint64(len(p) / layout.BlockSize)
	for len(p) > 0 {
		n := min(len(p), MaxEntryBlocks*layout.BlockSize)
		s.emit(Entry{Kind: Blocks, Device: dev, Block: block, Blocks: uint32(n / layout.BlockSize), Data: p[:n]})
		p, block = p[n:], block+uint64(n/layout.BlockSize)
	}
}

// strange notes blocks that are no metadata: zeros, or anything. Of what an older
// superblock leads to that is what has been used again since.
func (s *saver) strange(dev uint8, block uint64, p []byte) {
	if s.older {
		return
	}
	n := uint32(len(p) / layout.BlockSize)
	if isZero(p) {
		s.zeros(dev, block, n)
		return
	}
	s.withhold(dev, block, n)
}

func (s *saver) zeros(dev uint8, block uint64, n uint32) {
	s.emit(Entry{Kind: Zeros, Device: dev, Block: block, Blocks: n})
}

func (s *saver) withhold(dev uint8, block uint64, n uint32) {
	if s.out != nil && !s.older {
		s.res.Withheld += uint64(n)
	}
	s.emit(Entry{Kind: Withheld, Device: dev, Block: block, Blocks: n})
}

func (s *saver) emit(e Entry) {
	if s.out == nil || s.failed() {
		return
	}
	s.err = s.out.write(e)
}

func isZero(p []byte) bool { return !slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) }
