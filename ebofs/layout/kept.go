package layout

import (
	"fmt"
	"slices"
	"time"
)

// MaxKept bounds the kept epochs: with the most of them the list takes a block.
const MaxKept = 64

// KeptEpoch is an earlier checkpoint that the newest one names, so that it can
// still be read: its blocks are not used again while it is named. Which they are
// say its own root record and the zone bitmaps that names.
//
//	off len field        56 bytes
//	  0  24 root         Ref of its root record; its epoch is the checkpoint's
//	 24   8 generation   of its superblock
//	 32   8 written      of its superblock, Unix time in nanoseconds
//	 40   8 blocks       size of the device then: a store may have grown since
//	 48   8 zone end     likewise
type KeptEpoch struct {
	Root       Ref
	Generation uint64
	Written    time.Time
	Blocks     uint64
	ZoneEnd    uint64
}

const (
	keptEpochBytes = 56
	keptHeader     = 8
)

// Epoch returns the checkpoint's number.
func (k *KeptEpoch) Epoch() uint64 { return k.Root.Epoch }

// At returns the superblock of a kept epoch: s, but for what it points to. The log
// holds nothing for it.
func (s *Superblock) At(k *KeptEpoch) Superblock {
	sb := *s
	sb.Flags |= SuperClean
	sb.Epoch, sb.Generation, sb.Written, sb.Root = k.Root.Epoch, k.Generation, k.Written, k.Root
	sb.Blocks, sb.ZoneEnd, sb.GrowingFrom = k.Blocks, k.ZoneEnd, 0
	sb.Devices = slices.Clone(s.Devices)
	sb.Devices[s.Index].Blocks = k.Blocks
	sb.Zones = uint32((k.ZoneEnd - s.ZoneStart + uint64(s.ZoneBlocks) - 1) / uint64(s.ZoneBlocks))
	return sb
}

// Within returns an error if a kept epoch cannot be one of the store that s
// describes.
func (k *KeptEpoch) Within(s *Superblock) error {
	if k.Epoch() >= s.Epoch || k.ZoneEnd <= s.ZoneStart || k.ZoneEnd > s.ZoneEnd || k.Blocks < k.ZoneEnd || k.Blocks > s.Blocks {
		return malformed("root record", "kept epoch", fmt.Sprintf("%d, zones up to %d", k.Epoch(), k.ZoneEnd), fmt.Sprintf("before %d, up to %d", s.Epoch, s.ZoneEnd))
	}
	return nil
}

// appendKept appends the body of the section of kept epochs: how many are wanted
// (u16, 6 bytes reserved), then KeptEpochs.
func (r *RootRecord) appendKept(dst []byte) []byte {
	dst = le.AppendUint64(dst, uint64(r.Keep))
	for i := range r.Kept {
		k := &r.Kept[i]
		var p [RefBytes]byte
		putRef(p[:], k.Root)
		dst = append(dst, p[:]...)
		dst = le.AppendUint64(dst, k.Generation)
		dst = le.AppendUint64(dst, uint64(unixNano(k.Written)))
		dst = le.AppendUint64(dst, k.Blocks)
		dst = le.AppendUint64(dst, k.ZoneEnd)
	}
	return dst
}

func (r *RootRecord) decodeKept(p []byte) error {
	if len(p) < keptHeader || (len(p)-keptHeader)%keptEpochBytes != 0 || (len(p)-keptHeader)/keptEpochBytes > MaxKept {
		return malformed("root record", "kept epochs bytes", len(p), fmt.Sprintf("%d and a multiple of %d", keptHeader, keptEpochBytes))
	}
	r.Keep = le.Uint16(p)
	for p = p[keptHeader:]; len(p) > 0; p = p[keptEpochBytes:] {
		r.Kept = append(r.Kept, KeptEpoch{getRef(p), le.Uint64(p[24:]), fromUnixNano(int64(le.Uint64(p[32:]))), le.Uint64(p[40:]), le.Uint64(p[48:])})
	}
	return nil
}

func (r *RootRecord) checkKept() error {
	const kind = "root record"
	if r.Keep > MaxKept || len(r.Kept) > MaxKept {
		return malformed(kind, "kept epochs", fmt.Sprint(len(r.Kept), " of ", r.Keep), fmt.Sprintf("≤ %d", MaxKept))
	}
	for i := range r.Kept {
		k, field := &r.Kept[i], fmt.Sprintf("kept epoch %d", i)
		if k.Root.IsNone() || k.Generation == 0 || i > 0 && k.Epoch() <= r.Kept[i-1].Epoch() {
			return malformed(kind, field, k.Root, "ascending epochs")
		}
		if err := k.Root.check(kind, field, MaxRootBlocks); err != nil {
			return err
		}
	}
	return nil
}
