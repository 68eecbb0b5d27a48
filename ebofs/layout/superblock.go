package layout

import (
	"bytes"
	"fmt"
	"time"
	"unicode/utf8"
)

const (
	superMagic   = "EBOFS\r\n\x1a"
	superVersion = 1
	superLength  = 1792

	// MaxRings is how many WAL rings a superblock can name.
	MaxRings = 4

	// MaxRootBlocks bounds the root record: 64 KiB.
	MaxRootBlocks = 16

	// GeometryHard in Superblock.GeometryFlags: partial stripes are never written.
	GeometryHard uint32 = 1 << 0
	// slackShift is where in it the slack stands, in percent; 0 is the default.
	slackShift = 8

	// SuperClean in Superblock.Flags: the store was closed after a checkpoint; the
	// log holds nothing to replay.
	SuperClean uint32 = 1 << 0
	// SuperFormatting in Superblock.Flags: mkfs has not finished; there is no store.
	SuperFormatting uint32 = 1 << 1
)

// Superblock is the root of a checkpoint, one block. Generation g lives in the
// slots H(g%2) and Z(g%2): the write that may tear never covers the newest durable
// one.
//
//	off len field        little-endian; golden: testdata/superblock
//	  0   8 magic        "EBOFS\r\n\x1a"
//	  8   4 crc          CRC-32C of [12:4096)
//	 12   1 type         'S'
//	 13   1 version
//	 14   1 min reader
//	 15   1 reserved, zero
//	 16   4 length       bytes in use before the trailer
//	 20   4 flags        1 clean, 2 mkfs not finished
//	 24  16 fsid
//	 40  16 device uuid
//	 56   8 self         address of this copy: device index, block
//	 64   8 generation   of this superblock; never 0
//	 72   8 epoch        of the checkpoint; never 0
//	 80   8 blocks       size of this device
//	 88   4 block size   4096
//	 92   4 stripe bytes
//	 96   4 unit bytes
//	100   4 geometry flags  1 hard
//	104   8 align bytes  offset of the first stripe boundary
//	112   8 zone start   first block of zone 0
//	120   8 zone end     end of the last zone
//	128   4 zone blocks  size of every zone but possibly the last
//	132   4 zones
//	136   1 device index
//	137   1 role
//	138   1 rings in use
//	139   1 devices in use
//	140   1 text length
//	141   3 reserved, zero
//	144   8 compat       feature masks
//	152   8 ro_compat
//	160   8 incompat
//	168  24 root record  Ref
//	192  16 cluster uuid or zero
//	208   8 osd id       int64; -1: none
//	216   8 created      Unix time in nanoseconds
//	224   8 written      likewise
//	232  64 text         label, UTF-8
//	296   8 growing from size of this device before a grow that is not finished, in blocks; or zero
//	304 208 reserved, zero
//	512 256 rings        4 × 64, see Ring
//	768 1024 devices     16 × 64, see DeviceEntry
//	1792    reserved, zero
//	4088  8 trailer      generation again: differs after a torn write
type Superblock struct {
	FSID       UUID
	DeviceUUID UUID
	Self       Addr
	Flags      uint32
	Generation uint64
	Epoch      uint64

	Blocks        uint64
	GrowingFrom   uint64 // 0: no grow is under way; see Placement.Grow
	StripeBytes   uint32
	UnitBytes     uint32
	GeometryFlags uint32
	AlignBytes    uint64
	ZoneStart     uint64
	ZoneEnd       uint64
	ZoneBlocks    uint32
	Zones         uint32

	Index    uint8
	Role     Role
	Features Features
	Root     Ref // root record; none on devices other than 0

	Cluster UUID
	OSD     int64 // -1: none
	Created time.Time
	Written time.Time
	Text    string

	Rings   []Ring
	Devices []DeviceEntry
}

// Ring is where a WAL ring lies and from where it is replayed.
//
//	off len field        64 bytes
//	  0   8 start        address of the first block
//	  8   8 blocks
//	 16   8 incarnation  raised at every mount before the first write
//	 24   8 tail block   offset of the first batch to replay, in blocks from start
//	 32   8 tail seq     its sequence number
//	 40   4 prev crc     crc of the batch before it
//	 44  20 reserved, zero
type Ring struct {
	Start       Addr
	Blocks      uint64
	Incarnation uint64
	TailBlock   uint64
	TailSeq     uint64
	PrevCRC     uint32
}

// DeviceEntry is one device of the store; its index is its place in the table.
//
//	off len field    64 bytes
//	  0  16 uuid
//	 16   8 blocks
//	 24   1 role
//	 25  39 reserved, zero
type DeviceEntry struct {
	UUID   UUID
	Blocks uint64
	Role   Role
}

// Hard reports whether partial stripes are forbidden.
func (s *Superblock) Hard() bool { return s.GeometryFlags&GeometryHard != 0 }

// Clean reports whether the store was closed after a checkpoint.
func (s *Superblock) Clean() bool { return s.Flags&SuperClean != 0 }

// Placement rebuilds the layout of the device from the superblock, which is the
// only truth about it after mkfs.
func (s *Superblock) Placement() Placement {
	p := Placement{
		Blocks: s.Blocks, Labels: LabelBlocks(s.Blocks), Slots: SlotBlocks(s.Blocks),
		StripeBlocks: s.StripeBytes / BlockSize,
		ZoneStart:    s.ZoneStart, ZoneEnd: s.ZoneEnd, ZoneBlocks: s.ZoneBlocks, Zones: s.Zones,
	}
	p.AlignBlocks = s.AlignBytes / BlockSize % uint64(p.StripeBlocks)
	p.HeadEnd = p.alignUp(headBlocks)
	p.TailStart = p.alignDown(s.Blocks - tailBlocks)
	for _, r := range s.Rings {
		if r.Start.Device() == s.Index {
			p.RingStart, p.RingBlocks = r.Start.Block(), r.Blocks
			break
		}
	}
	p.setSlack(s.Hard(), uint8(s.GeometryFlags>>slackShift))
	return p
}

// SetPlacement copies a plan into the superblock; rings are the caller's.
func (s *Superblock) SetPlacement(p Placement) {
	s.Blocks = p.Blocks
	s.StripeBytes = p.StripeBlocks * BlockSize
	s.AlignBytes = p.AlignBlocks * BlockSize
	s.ZoneStart, s.ZoneEnd, s.ZoneBlocks, s.Zones = p.ZoneStart, p.ZoneEnd, p.ZoneBlocks, p.Zones
	s.GeometryFlags = uint32(p.SlackPercent) << slackShift
	if p.HardStripes {
		s.GeometryFlags |= GeometryHard
	}
}

// check is made by encode and decode alike.
func (s *Superblock) check() error {
	const kind = "superblock"
	switch {
	case s.FSID.IsZero() || s.DeviceUUID.IsZero():
		return malformed(kind, "uuid", "none", nil)
	case s.Generation == 0 || s.Epoch == 0:
		return malformed(kind, "generation, epoch", fmt.Sprint(s.Generation, ", ", s.Epoch), "> 0")
	case s.Role < RoleMain || s.Role > RoleMeta:
		return malformed(kind, "role", uint8(s.Role), "1..3")
	case s.Index >= MaxDevices || s.Self.Device() != s.Index:
		return malformed(kind, "device index", s.Index, s.Self.Device())
	case s.Blocks < MinLogDeviceBytes/BlockSize || s.Blocks > MaxBlock || s.Self.Block() >= s.Blocks:
		return malformed(kind, "blocks", s.Blocks, nil)
	case s.GrowingFrom != 0 && (s.GrowingFrom < MinLogDeviceBytes/BlockSize || s.GrowingFrom >= s.Blocks):
		return malformed(kind, "growing from", s.GrowingFrom, fmt.Sprintf("below %d", s.Blocks))
	case s.StripeBytes == 0 || s.StripeBytes%BlockSize != 0 || s.StripeBytes > MaxStripeBytes:
		return malformed(kind, "stripe bytes", s.StripeBytes, fmt.Sprintf("multiple of %d up to %d", BlockSize, MaxStripeBytes))
	case s.AlignBytes%BlockSize != 0 || s.AlignBytes >= uint64(s.StripeBytes):
		return malformed(kind, "align bytes", s.AlignBytes, fmt.Sprintf("multiple of %d below the stripe", BlockSize))
	case s.AlignBytes/BlockSize+uint64(s.StripeBytes/BlockSize)+tailBlocks > s.Blocks:
		return malformed(kind, "stripe, align bytes", fmt.Sprint(s.StripeBytes, ", ", s.AlignBytes), "within the device")
	case len(s.Text) > MaxLabelText || !utf8.ValidString(s.Text) || bytes.IndexByte([]byte(s.Text), 0) >= 0:
		return malformed(kind, "text", fmt.Sprintf("%q", s.Text), "UTF-8 without NUL, at most 64 bytes")
	case len(s.Rings) > MaxRings || len(s.Devices) > MaxDevices:
		return malformed(kind, "rings, devices", fmt.Sprint(len(s.Rings), ", ", len(s.Devices)), "≤ 4, ≤ 16")
	case int(s.Index) >= len(s.Devices) || s.Devices[s.Index].UUID != s.DeviceUUID || s.Devices[s.Index].Blocks != s.Blocks:
		return malformed(kind, "device table", "own entry differs", nil)
	}
	if err := s.checkZones(); err != nil {
		return err
	}
	for i, d := range s.Devices {
		if d.UUID.IsZero() || d.Role < RoleMain || d.Role > RoleMeta || d.Blocks == 0 || d.Blocks > MaxBlock {
			return malformed(kind, fmt.Sprintf("device %d", i), fmt.Sprint(d.UUID, " ", d.Role, " ", d.Blocks), nil)
		}
	}
	for i, r := range s.Rings {
		d := int(r.Start.Device())
		if r.Blocks == 0 || r.Blocks > MaxBlock || d >= len(s.Devices) || r.Start.Block()+r.Blocks > s.Devices[d].Blocks || r.TailBlock >= r.Blocks {
			return malformed(kind, fmt.Sprintf("ring %d", i), fmt.Sprintf("%v~%d tail %d", r.Start, r.Blocks, r.TailBlock), "within its device")
		}
	}
	if err := s.Root.check(kind, "root record", MaxRootBlocks); err != nil {
		return err
	}
	if !s.Root.IsNone() && (int(s.Root.Addr.Device()) >= len(s.Devices) || s.Root.Addr.Block()+uint64(s.Root.Blocks) > s.Devices[s.Root.Addr.Device()].Blocks) {
		return malformed(kind, "root record", s.Root, "within its device")
	}
	return nil
}

func (s *Superblock) checkZones() error {
	bad := func() error {
		return malformed("superblock", "zones", fmt.Sprintf("%d × %d in %d..%d", s.Zones, s.ZoneBlocks, s.ZoneStart, s.ZoneEnd), nil)
	}
	if s.Zones == 0 {
		if s.ZoneBlocks != 0 || s.ZoneStart != 0 || s.ZoneEnd != 0 {
			return bad()
		}
		return nil
	}
	n, stripe := uint64(s.ZoneBlocks), uint64(s.StripeBytes/BlockSize)
	if n == 0 || n > MaxZoneBlocks || n%stripe != 0 || s.ZoneStart < headBlocks || s.ZoneEnd <= s.ZoneStart ||
		s.ZoneEnd > s.Blocks-tailBlocks || s.Zones > MaxZones || (s.ZoneEnd-s.ZoneStart+n-1)/n != uint64(s.Zones) {
		return bad()
	}
	return nil
}

// Encode fills p, one block, to be written to Self.
func (s *Superblock) Encode(p []byte) error {
	if len(p) != BlockSize {
		return fmt.Errorf("superblock: %d bytes: %w", len(p), ErrInvalid)
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	clear(p)
	copy(p, superMagic)
	p[12], p[13], p[14] = 'S', superVersion, superVersion
	le.PutUint32(p[16:], superLength)
	le.PutUint32(p[20:], s.Flags)
	copy(p[24:], s.FSID[:])
	copy(p[40:], s.DeviceUUID[:])
	le.PutUint64(p[56:], uint64(s.Self))
	le.PutUint64(p[64:], s.Generation)
	le.PutUint64(p[72:], s.Epoch)
	le.PutUint64(p[80:], s.Blocks)
	le.PutUint32(p[88:], BlockSize)
	le.PutUint32(p[92:], s.StripeBytes)
	le.PutUint32(p[96:], s.UnitBytes)
	le.PutUint32(p[100:], s.GeometryFlags)
	le.PutUint64(p[104:], s.AlignBytes)
	le.PutUint64(p[112:], s.ZoneStart)
	le.PutUint64(p[120:], s.ZoneEnd)
	le.PutUint32(p[128:], s.ZoneBlocks)
	le.PutUint32(p[132:], s.Zones)
	p[136], p[137], p[138], p[139], p[140] = s.Index, uint8(s.Role), uint8(len(s.Rings)), uint8(len(s.Devices)), uint8(len(s.Text))
	le.PutUint64(p[144:], s.Features.Compat)
	le.PutUint64(p[152:], s.Features.ROCompat)
	le.PutUint64(p[160:], s.Features.Incompat)
	putRef(p[168:], s.Root)
	copy(p[192:], s.Cluster[:])
	le.PutUint64(p[208:], uint64(s.OSD))
	le.PutUint64(p[216:], uint64(unixNano(s.Created)))
	le.PutUint64(p[224:], uint64(unixNano(s.Written)))
	copy(p[232:], s.Text)
	le.PutUint64(p[296:], s.GrowingFrom)
	for i, r := range s.Rings {
		q := p[512+64*i:]
		le.PutUint64(q, uint64(r.Start))
		le.PutUint64(q[8:], r.Blocks)
		le.PutUint64(q[16:], r.Incarnation)
		le.PutUint64(q[24:], r.TailBlock)
		le.PutUint64(q[32:], r.TailSeq)
		le.PutUint32(q[40:], r.PrevCRC)
	}
	for i, d := range s.Devices {
		q := p[768+64*i:]
		copy(q, d.UUID[:])
		le.PutUint64(q[16:], d.Blocks)
		q[24] = uint8(d.Role)
	}
	le.PutUint64(p[4088:], s.Generation)
	le.PutUint32(p[8:], CRC(p[12:]))
	return nil
}

// DecodeSuperblock reads one block. Its errors tell apart: ErrBadMagic (no
// superblock), ErrTorn and ErrBadCRC (was one), ErrNewer and ErrFeature (sound, not
// for this program), ErrMalformed. With ErrFeature the superblock is returned too,
// so that tools can show it.
func DecodeSuperblock(p []byte) (Superblock, error) {
	var s Superblock
	err := checkBlock(p, "superblock", superMagic, 'S', superVersion, superLength)
	if err != nil {
		if c, ok := err.(*Corruption); ok && c.Err == ErrBadCRC && le.Uint64(p[64:]) != le.Uint64(p[4088:]) {
			return s, &Corruption{Kind: "superblock", Field: "generation at the end", Got: fmt.Sprint(le.Uint64(p[4088:])), Want: fmt.Sprint(le.Uint64(p[64:])), Err: ErrTorn}
		}
		return s, err
	}
	if n := le.Uint32(p[88:]); n != BlockSize {
		return s, malformed("superblock", "block size", n, BlockSize)
	}
	if p[138] > MaxRings || p[139] > MaxDevices || p[140] > MaxLabelText {
		return s, malformed("superblock", "rings, devices, text length", fmt.Sprint(p[138], p[139], p[140]), "≤ 4, 16, 64")
	}
	s = Superblock{
		Flags: le.Uint32(p[20:]), FSID: UUID(p[24:40]), DeviceUUID: UUID(p[40:56]), Self: Addr(le.Uint64(p[56:])),
		Generation: le.Uint64(p[64:]), Epoch: le.Uint64(p[72:]), Blocks: le.Uint64(p[80:]),
		StripeBytes: le.Uint32(p[92:]), UnitBytes: le.Uint32(p[96:]), GeometryFlags: le.Uint32(p[100:]), AlignBytes: le.Uint64(p[104:]),
		ZoneStart: le.Uint64(p[112:]), ZoneEnd: le.Uint64(p[120:]), ZoneBlocks: le.Uint32(p[128:]), Zones: le.Uint32(p[132:]),
		Index: p[136], Role: Role(p[137]),
		Features: Features{le.Uint64(p[144:]), le.Uint64(p[152:]), le.Uint64(p[160:])},
		Root:     getRef(p[168:]), Cluster: UUID(p[192:208]), OSD: int64(le.Uint64(p[208:])),
		Created: fromUnixNano(int64(le.Uint64(p[216:]))), Written: fromUnixNano(int64(le.Uint64(p[224:]))),
		Text: string(p[232 : 232+int(p[140])]), GrowingFrom: le.Uint64(p[296:]),
	}
	for i := range int(p[138]) {
		q := p[512+64*i:]
		s.Rings = append(s.Rings, Ring{Addr(le.Uint64(q)), le.Uint64(q[8:]), le.Uint64(q[16:]), le.Uint64(q[24:]), le.Uint64(q[32:]), le.Uint32(q[40:])})
	}
	for i := range int(p[139]) {
		q := p[768+64*i:]
		s.Devices = append(s.Devices, DeviceEntry{UUID(q[:16]), le.Uint64(q[16:]), Role(q[24])})
	}
	if err := s.Features.CheckRead(); err != nil {
		return s, err
	}
	if err := s.check(); err != nil {
		return Superblock{}, err
	}
	return s, nil
}
