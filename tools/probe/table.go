package probe

import "bytes"

// prober recognises one family of formats.
type prober func(s *source) []Finding

// contents recognise what a disk or a partition holds; tables recognise
// partition tables, which are not looked for inside partitions.
func contents() []prober {
	return []prober{
		lvm, md, raidBIOS, luks, swap, zfs, bluestore, bcache,
		ext, btrfs, nilfs, fat, ntfs, simple,
	}
}

func tables() []prober { return []prober{gpt, dos} }

// fixed is a format whose magic is long, or odd, enough to stand for itself.
type fixed struct {
	kind, noun string
	offset     int64 // of the magic; from the end if negative
	magic      string
	label      [2]int64 // offset and length of its name; length 0: none
	uuid       int64    // offset of its UUID; 0: none
}

// fixedTable holds on-disk magics as their own documentation gives them.
func fixedTable() []fixed {
	return []fixed{
		{kind: "xfs", noun: "an XFS file system", offset: 0, magic: "XFSB", label: [2]int64{108, 12}, uuid: 32},
		{kind: "xfs-log", noun: "an external XFS log", offset: 0, magic: "\xfe\xed\xba\xbe\x00\x00\x00\x01"},
		{kind: "reiserfs", noun: "a ReiserFS file system", offset: 65536 + 52, magic: "ReIsEr", label: [2]int64{65536 + 100, 16}, uuid: 65536 + 84},
		{kind: "jfs", noun: "a JFS file system", offset: 32768, magic: "JFS1", label: [2]int64{32768 + 152, 16}, uuid: 32768 + 136},
		{kind: "f2fs", noun: "an F2FS file system", offset: 1024, magic: "\x10\x20\xf5\xf2", uuid: 1024 + 108},
		{kind: "ocfs2", noun: "an OCFS2 file system", offset: 8192, magic: "OCFSV2", label: [2]int64{8192 + 272, 64}, uuid: 8192 + 336},
		{kind: "gfs2", noun: "a GFS2 file system", offset: 65536, magic: "\x01\x16\x19\x70\x00\x00\x00\x01"},
		{kind: "erofs", noun: "an EROFS file system", offset: 1024, magic: "\xe2\xe1\xf5\xe0", uuid: 1024 + 48, label: [2]int64{1024 + 64, 16}},
		{kind: "squashfs", noun: "a SquashFS file system", offset: 0, magic: "hsqs"},
		{kind: "apfs", noun: "an APFS container", offset: 32, magic: "NXSB"},
		{kind: "hfsplus", noun: "an HFS+ file system", offset: 1024, magic: "H+\x00\x04"},
		{kind: "hfsplus", noun: "an HFSX file system", offset: 1024, magic: "HX\x00\x05"},
		{kind: "iso9660", noun: "an ISO 9660 image", offset: 32768, magic: "\x01CD001\x01", label: [2]int64{32768 + 40, 32}},
		{kind: "vmfs", noun: "a VMFS volume", offset: 0x100000, magic: "\x0d\xd0\x01\xc0"},
		{kind: "drbd", noun: "DRBD metadata", offset: -4096 + 60, magic: "\x83\x74\x02\x6b"},
	}
}

// simple recognises the fixed table.
func simple(s *source) (found []Finding) {
	for _, f := range fixedTable() {
		if !s.has(f.offset, f.magic) {
			continue
		}
		off := f.offset
		if off < 0 {
			off += s.size
		}
		one := Finding{Kind: f.kind, Noun: f.noun, Marks: []Mark{{off, int64(len(f.magic))}}}
		if f.label[1] > 0 {
			one.Label = text(s.at(f.label[0], int(f.label[1])))
		}
		if f.uuid > 0 {
			one.UUID = uuid(s.at(f.uuid, 16))
		}
		found = append(found, one)
	}
	return found
}

// zeros is what zeroBytes compares with.
var zeros [chunkBytes]byte

// zeroBytes reports whether p, at most a chunk, is there and all zero.
func zeroBytes(p []byte) bool {
	return p != nil && bytes.Equal(p, zeros[:len(p)])
}
