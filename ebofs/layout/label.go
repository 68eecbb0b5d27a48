package layout

import (
	"bytes"
	"fmt"
	"time"
	"unicode/utf8"
)

// Role says what a device of a store is for.
type Role uint8

// The roles.
const (
	RoleMain Role = 1 // data and metadata, and the log unless there is a log device; index 0
	RoleLog  Role = 2 // nothing but a log
	RoleMeta Role = 3 // metadata on faster media; reserved
)

// String returns the role's name.
func (r Role) String() string {
	switch r {
	case RoleMain:
		return "main"
	case RoleLog:
		return "log"
	case RoleMeta:
		return "meta"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// MaxLabelText is the longest label text in bytes.
const MaxLabelText = 64

const (
	labelMagic   = "EBOFSlbl"
	labelVersion = 1
	labelLength  = 192
)

// Label says whose a device is. It lies in block 0 and in the copies of
// LabelBlocks; mkfs writes block 0 last, and only relabel and grow write it again.
//
//	off len field       one block; golden: testdata/label
//	  0   8 magic       "EBOFSlbl"
//	  8   4 crc         CRC-32C of [12:4096)
//	 12   1 type        'L'
//	 13   1 version
//	 14   1 min reader
//	 15   1 reserved, zero
//	 16   4 length      bytes in use
//	 20   1 device index
//	 21   1 role
//	 22   1 text length
//	 23   1 reserved, zero
//	 24  16 fsid
//	 40  16 device uuid
//	 56   8 self        block this copy was written to
//	 64   8 blocks      size of the device
//	 72   8 created     Unix time in nanoseconds
//	 80  32 slots       blocks of H0, H1, Z0, Z1
//	112  64 text        UTF-8
//	176  16 cluster     UUID of the cluster, or zero
//	192     reserved, zero
type Label struct {
	FSID       UUID
	DeviceUUID UUID
	Index      uint8
	Role       Role
	Self       uint64 // block of this copy
	Blocks     uint64
	Created    time.Time
	Slots      [4]uint64
	Text       string
	Cluster    UUID
}

func (l *Label) check() error {
	switch {
	case l.FSID.IsZero() || l.DeviceUUID.IsZero():
		return malformed("label", "uuid", "none", nil)
	case l.Role < RoleMain || l.Role > RoleMeta:
		return malformed("label", "role", uint8(l.Role), "1..3")
	case l.Index >= MaxDevices:
		return malformed("label", "device index", l.Index, fmt.Sprintf("< %d", MaxDevices))
	case len(l.Text) > MaxLabelText:
		return malformed("label", "text length", len(l.Text), fmt.Sprintf("≤ %d", MaxLabelText))
	case !utf8.ValidString(l.Text) || bytes.IndexByte([]byte(l.Text), 0) >= 0:
		return malformed("label", "text", fmt.Sprintf("%q", l.Text), "UTF-8 without NUL")
	case l.Blocks == 0 || l.Blocks > MaxBlock || l.Self >= l.Blocks:
		return malformed("label", "blocks", l.Blocks, fmt.Sprintf("> %d", l.Self))
	}
	return nil
}

// Encode fills p, one block.
func (l *Label) Encode(p []byte) error {
	if len(p) != BlockSize {
		return fmt.Errorf("label: %d bytes: %w", len(p), ErrInvalid)
	}
	if err := l.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	clear(p)
	copy(p, labelMagic)
	p[12], p[13], p[14] = 'L', labelVersion, labelVersion
	le.PutUint32(p[16:], labelLength)
	p[20], p[21], p[22] = l.Index, uint8(l.Role), uint8(len(l.Text))
	copy(p[24:], l.FSID[:])
	copy(p[40:], l.DeviceUUID[:])
	le.PutUint64(p[56:], l.Self)
	le.PutUint64(p[64:], l.Blocks)
	le.PutUint64(p[72:], uint64(unixNano(l.Created)))
	for i, s := range l.Slots {
		le.PutUint64(p[80+8*i:], s)
	}
	copy(p[112:], l.Text)
	copy(p[176:], l.Cluster[:])
	le.PutUint32(p[8:], CRC(p[12:]))
	return nil
}

// DecodeLabel reads one block. It does not know where the block came from; the
// caller compares Self.
func DecodeLabel(p []byte) (Label, error) {
	var l Label
	if err := checkBlock(p, "label", labelMagic, 'L', labelVersion, labelLength); err != nil {
		return l, err
	}
	l.Index, l.Role = p[20], Role(p[21])
	n := int(p[22])
	if n > MaxLabelText {
		return Label{}, malformed("label", "text length", n, fmt.Sprintf("≤ %d", MaxLabelText))
	}
	l.FSID = UUID(p[24:40])
	l.DeviceUUID = UUID(p[40:56])
	l.Self = le.Uint64(p[56:])
	l.Blocks = le.Uint64(p[64:])
	l.Created = fromUnixNano(int64(le.Uint64(p[72:])))
	for i := range l.Slots {
		l.Slots[i] = le.Uint64(p[80+8*i:])
	}
	l.Text = string(p[112 : 112+n])
	l.Cluster = UUID(p[176:192])
	if err := l.check(); err != nil {
		return Label{}, err
	}
	return l, nil
}

// checkBlock verifies what label and superblock have in common: magic at 0, crc at
// 8 over the rest, type, version, min reader at 12 and the length at 16.
func checkBlock(p []byte, kind, magic string, typ, version uint8, length uint32) error {
	if len(p) != BlockSize {
		return malformed(kind, "bytes", len(p), BlockSize)
	}
	if string(p[:8]) != magic || p[12] != typ {
		return &Corruption{Kind: kind, Field: "magic", Got: fmt.Sprintf("%x", p[:8]), Want: fmt.Sprintf("%x", magic), Err: ErrBadMagic}
	}
	want := le.Uint32(p[8:])
	if got := CRC(p[12:]); got != want {
		return &Corruption{Kind: kind, Field: "crc", Got: fmt.Sprintf("%08x", got), Want: fmt.Sprintf("%08x", want), Err: ErrBadCRC}
	}
	if p[14] > version {
		return &Corruption{Kind: kind, Field: "min reader", Got: fmt.Sprint(p[14]), Want: fmt.Sprintf("≤ %d", version), Err: ErrNewer}
	}
	if n := le.Uint32(p[16:]); n < length || n > BlockSize {
		return malformed(kind, "length", n, fmt.Sprintf("%d..%d", length, BlockSize))
	}
	return nil
}

// unixNano and fromUnixNano keep the zero time.Time apart from 1970.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromUnixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
