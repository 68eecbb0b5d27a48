package probe

import (
	"bytes"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"ebofs/ebofs/layout"
)

// image is a sparse device in memory: pieces over zeros.
type image struct {
	size   int64
	pieces []piece
	fail   int64 // reads that touch this byte fail; 0: none
}

type piece struct {
	at int64
	p  []byte
}

func (m *image) put(at int64, p string) *image {
	if at < 0 {
		at += m.size
	}
	m.pieces = append(m.pieces, piece{at, []byte(p)})
	return m
}

var errMedium = errors.New("medium error")

func (m *image) ReadAt(p []byte, off int64) (int, error) {
	if off >= m.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), m.size-off))
	if m.fail > 0 && off <= m.fail && m.fail < off+int64(n) {
		return 0, errMedium
	}
	clear(p[:n])
	for _, q := range m.pieces {
		from, to := max(off, q.at), min(off+int64(n), q.at+int64(len(q.p)))
		if from < to {
			copy(p[from-off:to-off], q.p[from-q.at:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *image) WriteAt(p []byte, off int64) (int, error) {
	m.put(off, string(p))
	return len(p), nil
}

func disk(size int64) *image { return &image{size: size} }

// le16, le32 … write numbers as the headers hold them.
func le16(v uint16) string { return string(le.AppendUint16(nil, v)) }
func le32(v uint32) string { return string(le.AppendUint32(nil, v)) }
func le64(v uint64) string { return string(le.AppendUint64(nil, v)) }
func be32(v uint32) string { return string(be.AppendUint32(nil, v)) }
func be64(v uint64) string { return string(be.AppendUint64(nil, v)) }
func xdr(s string) string {
	return be32(uint32(len(s))) + s + strings.Repeat("\x00", (4-len(s)%4)%4)
}

const (
	mib     = int64(1) << 20
	someID  = "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01"
	someHex = "11223344-5566-7788-99aa-bbccddeeff01"
)

// gptTable writes both headers with the partitions given as [first, last] in
// sectors of 512 bytes.
func gptTable(m *image, names []string, parts [][2]uint64) *image {
	const sector = 512
	var entries []byte
	for i, p := range parts {
		e := make([]byte, 128)
		copy(e, someID)
		copy(e[16:], someID)
		le.PutUint64(e[32:], p[0])
		le.PutUint64(e[40:], p[1])
		for j, u := range utf16.Encode([]rune(names[i])) {
			le.PutUint16(e[56+2*j:], u)
		}
		entries = append(entries, e...)
	}
	entries = append(entries, make([]byte, 128*128-len(entries))...)
	last := uint64(m.size/sector - 1)
	for _, h := range [][3]uint64{{1, last, 2}, {last, 1, last - 32}} {
		p := make([]byte, 92)
		copy(p, "EFI PART\x00\x00\x01\x00")
		le.PutUint32(p[12:], 92)
		le.PutUint64(p[24:], h[0])
		le.PutUint64(p[32:], h[1])
		copy(p[56:], someID)
		le.PutUint64(p[72:], h[2])
		le.PutUint32(p[80:], 128)
		le.PutUint32(p[84:], 128)
		le.PutUint32(p[88:], crc32.ChecksumIEEE(entries))
		le.PutUint32(p[16:], crc32.ChecksumIEEE(p))
		m.put(int64(h[0])*sector, string(p)).put(int64(h[2])*sector, string(entries))
	}
	return m.put(446, "\x00\x00\x02\x00\xee\xff\xff\xff"+le32(1)+le32(uint32(last))).put(510, "\x55\xaa")
}

func mbrEntry(m *image, sector int64, i int, typ byte, start, n uint32) *image {
	return m.put(sector*512+446+int64(16*i), "\x00\x00\x00\x00"+string([]byte{typ})+"\x00\x00\x00"+le32(start)+le32(n)).put(sector*512+510, "\x55\xaa")
}

func extAt(m *image, at int64, compat, incompat, ro uint32, label string) *image {
	at += 1024
	return m.put(at+4, le32(1000)).put(at+56, "\x53\xef").put(at+76, le32(1)).put(at+92, le32(compat)+le32(incompat)+le32(ro)+someID+label)
}

func sum(m *image, at, n int64) string {
	p := make([]byte, n)
	if _, err := m.ReadAt(p, at); err != nil {
		panic(err)
	}
	s := newSource(bytes.NewReader(p), n, 512)
	return residue(s)[0].SHA256
}

// TestGolden: hand-made headers after the formats' own documentation.
func TestGolden(t *testing.T) {
	const size = 300 * mib
	label := func(m *image, at uint64) *image {
		p := make([]byte, layout.BlockSize)
		l := layout.Label{FSID: layout.UUID([]byte(someID)), DeviceUUID: layout.UUID([]byte(someID)), Role: layout.RoleMain, Self: at, Blocks: uint64(size / 4096), Text: "mine"}
		if err := l.Encode(p); err != nil {
			t.Fatal(err)
		}
		return m.put(int64(at)*4096, string(p))
	}
	for _, c := range []struct {
		name string
		m    *image
		want string // Join of the findings, then residue, then the store
	}{
		{"blank", disk(size), ""},
		{"noise at the start", disk(size).put(100, "x"), "residue first"},
		{"noise at both ends", disk(size).put(100, "x").put(-5, "x"), "residue first, residue last"},
		{"noise in the middle", disk(size).put(size/2, "x"), ""},
		{"gpt", gptTable(disk(size), []string{"a", "b"}, [][2]uint64{{2048, 4095}, {4096, 8191}}), "a GPT partition table with 2 partitions (sdb1 unknown, sdb2 unknown)"},
		{"gpt with contents", extAt(gptTable(disk(size), []string{"a", "b"}, [][2]uint64{{2048, 4095}, {4096, 8191}}), mib, 4, 0x40, 0, "backup").put(2*mib+4096-10, "SWAPSPACE2"),
			`a GPT partition table with 2 partitions (sdb1 ext4 "backup", sdb2 swap)`},
		{"gpt, first header gone", gptTable(disk(size), []string{"a"}, [][2]uint64{{2048, 4095}}).put(0, strings.Repeat("\x00", 1<<20)), "a GPT partition table with 1 partition (sdb1 unknown) (only its backup at the end is left)"},
		{"gpt, damaged", disk(size).put(512, "EFI PART"), "a GPT partition table without partitions (damaged)"},
		{"gpt, last header gone", gptTable(disk(size), []string{"a"}, [][2]uint64{{2048, 4095}}).put(-512, strings.Repeat("\x00", 512)), "a GPT partition table with 1 partition (sdb1 unknown)"},
		{"gpt, partition beyond the end", gptTable(disk(size), []string{"a"}, [][2]uint64{{2048, 1 << 40}}), "a GPT partition table without partitions"},
		{"many partitions", gptTable(disk(size), strings.Split("abcdefgh", ""), [][2]uint64{{2048, 2048}, {2049, 2049}, {2050, 2050}, {2051, 2051}, {2052, 2052}, {2053, 2053}, {2054, 2054}, {2055, 2055}}),
			"a GPT partition table with 8 partitions (sdb1 unknown, sdb2 unknown, sdb3 unknown, sdb4 unknown, sdb5 unknown, sdb6 unknown, and 2 more)"},
		{"mbr", extAt(mbrEntry(disk(size), 0, 0, 0x83, 2048, 4096), mib, 0, 0, 0, ""), "an MBR partition table with 1 partition (sdb1 ext2)"},
		{"mbr with logical ones", mbrEntry(mbrEntry(mbrEntry(mbrEntry(disk(size), 0, 1, 0x05, 4096, 40960), 4096, 0, 0x83, 64, 1024), 4096, 1, 0x05, 8192, 8192), 12288, 0, 0x82, 64, 64),
			"an MBR partition table with 3 partitions (sdb2 extended, sdb5 unknown, sdb6 unknown)"},
		{"mbr chain in a loop", mbrEntry(mbrEntry(mbrEntry(disk(size), 0, 0, 0x0f, 4096, 40960), 4096, 0, 0x83, 64, 1024), 4096, 1, 0x05, 0, 8192),
			"an MBR partition table with 2 partitions (sdb1 extended, sdb5 unknown)"},
		{"boot code only", disk(size).put(0, "\xeb\x3c").put(510, "\x55\xaa"), "an MBR partition table without partitions"},
		{"mark but no table", disk(size).put(446, "\x13junk").put(510, "\x55\xaa"), "residue first"},
		{"lvm", disk(size).put(512, "LABELONE"+le64(1)+le32(0)+le32(32)+"LVM2 001"+"abcdef0123456789abcdef0123456789"), "an LVM physical volume"},
		{"md 0.90", disk(size).put(size-64*1024, le32(0xa92b4efc)), "a member of an md RAID (metadata 0.90)"},
		{"md 0.90 of a big-endian machine", disk(size).put(size-64*1024, be32(0xa92b4efc)), "a member of an md RAID (metadata 0.90)"},
		{"md 1.0", disk(size).put(size-8192, le32(0xa92b4efc)+le32(1)+le64(0)+someID+"host:0"), `a member of an md RAID "host:0" (metadata 1.0)`},
		{"md 1.1", disk(size).put(0, le32(0xa92b4efc)+le32(1)), "a member of an md RAID (metadata 1.1)"},
		{"md 1.2", disk(size).put(4096, le32(0xa92b4efc)+le32(1)), "a member of an md RAID (metadata 1.2)"},
		{"intel raid", disk(size).put(-1024, "Intel Raid ISM Cfg Sig. 1.3.00"), "a member of an Intel RAID"},
		{"ddf", disk(size).put(-512, "\xde\x11\xde\x11"), "a member of a DDF RAID"},
		{"luks1", disk(size).put(0, "LUKS\xba\xbe\x00\x01").put(168, someHex), "a LUKS1 encrypted volume"},
		{"luks2", disk(size).put(0, "LUKS\xba\xbe\x00\x02").put(24, "vault").put(16<<10, "SKUL\xba\xbe\x00\x02"), `a LUKS2 encrypted volume "vault"`},
		{"luks2, second header", disk(size).put(16<<10, "SKUL\xba\xbe\x00\x02"), "a LUKS2 encrypted volume (only its second header is left)"},
		{"swap", disk(size).put(4086, "SWAPSPACE2").put(1036, someID+"swp"), `swap space "swp"`},
		{"swap, 64 KiB pages", disk(size).put(65526, "SWAPSPACE2"), "swap space"},
		{"hibernated", disk(size).put(4086, "S1SUSPEND\x00"), "a hibernation image"},
		{"zfs", disk(size).put(128<<10, le64(0x00bab10c)).put(16<<10, "\x01\x01\x00\x00"+be32(0)+be32(1)+
			be32(8+uint32(len(xdr("version")))+16)+be32(0)+xdr("version")+be32(8)+be32(1)+be64(5000)+
			be32(8+uint32(len(xdr("name")+xdr("tank")))+8)+be32(0)+xdr("name")+be32(9)+be32(1)+xdr("tank")), `a member of a ZFS pool "tank"`},
		{"zfs, last label", disk(size).put(-128*1024+5*1024, be64(0x00bab10c)), "a member of a ZFS pool"},
		{"bluestore", disk(size).put(0, "bluestore block device\n"+someHex+"\n"), "a BlueStore OSD"},
		{"bcache", disk(size).put(4096+16, le64(1)+"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"+someID), "a bcache device"},
		{"bcachefs", disk(size).put(4096+24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef").put(4096+72, "bch"), `a bcachefs file system "bch"`},
		{"early bcachefs", disk(size).put(4096+16, le64(11)+"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"), "a bcachefs file system"},
		{"ext2", extAt(disk(size), 0, 0, 2, 1, ""), "an ext2 file system"},
		{"ext3", extAt(disk(size), 0, 4, 2, 1, "home"), `an ext3 file system "home"`},
		{"ext4", extAt(disk(size), 0, 4, 0x42, 0, "sixteen bytes ok"), `an ext4 file system "sixteen bytes ok"`},
		{"ext journal", extAt(disk(size), 0, 0, 8, 0, ""), "an external ext journal"},
		{"ext magic by chance", disk(size).put(1024+56, "\x53\xef").put(1024+76, le32(77)), "residue first"},
		{"xfs", disk(size).put(0, "XFSB").put(32, someID).put(108, "big"), `an XFS file system "big"`},
		{"btrfs", disk(size).put(64<<10+32, someID).put(64<<10+64, "_BHRfS_M").put(64<<10+299, "tree"), `a btrfs file system "tree"`},
		{"btrfs copy", disk(size).put(64*mib+64, "_BHRfS_M"), "a btrfs file system (only a copy of its superblock is left)"},
		{"fat32", disk(size).put(11, le16(512)+"\x08\x20\x00\x02").put(71, "EFI        FAT32   ").put(510, "\x55\xaa"), `a FAT32 file system "EFI"`},
		{"fat16", disk(size).put(11, le16(512)+"\x08\x20\x00\x02").put(43, "NO NAME    FAT16   ").put(510, "\x55\xaa"), "a FAT16 file system"},
		{"exfat", disk(size).put(3, "EXFAT   ").put(510, "\x55\xaa"), "an exFAT file system"},
		{"ntfs", disk(size).put(3, "NTFS    ").put(72, someID[:8]).put(510, "\x55\xaa"), "an NTFS file system"},
		{"jfs", disk(size).put(32768, "JFS1"), "a JFS file system"},
		{"reiserfs", disk(size).put(65536+52, "ReIsEr2Fs"), "a ReiserFS file system"},
		{"f2fs", disk(size).put(1024, "\x10\x20\xf5\xf2"), "an F2FS file system"},
		{"nilfs2", disk(size).put(-4096, le32(2)+"\x00\x00\x34\x34"+le16(1024)), "a NILFS2 file system (only its second superblock is left)"},
		{"gfs2", disk(size).put(65536, "\x01\x16\x19\x70\x00\x00\x00\x01"), "a GFS2 file system"},
		{"ocfs2", disk(size).put(8192, "OCFSV2"), "an OCFS2 file system"},
		{"erofs", disk(size).put(1024, "\xe2\xe1\xf5\xe0"), "an EROFS file system"},
		{"apfs", disk(size).put(32, "NXSB"), "an APFS container"},
		{"hfs+", disk(size).put(1024, "H+\x00\x04"), "an HFS+ file system"},
		{"iso9660", disk(size).put(32768, "\x01CD001\x01").put(32768+40, "DISC            "), `an ISO 9660 image "DISC"`},
		{"vmfs", disk(size).put(mib, "\x0d\xd0\x01\xc0"), "a VMFS volume"},
		{"drbd", disk(size).put(-4096+60, "\x83\x74\x02\x6b"), "DRBD metadata"},
		{"two at once", disk(size).put(0, "XFSB").put(4086, "SWAPSPACE2"), "swap space and an XFS file system"},
		{"our label", label(disk(size), 0), `store 11223344 ("mine", no superblock left)`},
		{"our label, torn", label(disk(size), 0).put(200, "x"), "store 11223344 (damaged)"},
		{"our label in a partition", gptTable(disk(size), []string{"a"}, [][2]uint64{{2048, 2048 + 50<<11}}).put(mib, string(label(disk(size), 0).pieces[0].p)),
			`a GPT partition table with 1 partition (sdb1 store 11223344 ("mine", truncated))`},
		{"tiny", disk(512), ""},
		{"odd size", disk(size+1000).put(0, "XFSB"), "an XFS file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep := Examine(c.m, c.m.size, 512, "sdb")
			var got []string
			if rep.Store != nil {
				got = append(got, rep.Store.String())
			}
			if rep.Findings != nil {
				got = append(got, Join(rep.Findings))
			}
			for _, r := range rep.Residue {
				got = append(got, "residue "+r.Where)
			}
			if s := strings.Join(got, ", "); s != c.want || rep.Err != nil {
				t.Fatalf("\ngot  %s (%v)\nwant %s", s, rep.Err, c.want)
			}
			if stores, err := Stores(c.m, c.m.size); err != nil || len(stores) != len(rep.Stores()) {
				t.Errorf("stores %v, %v, want %v", stores, err, rep.Stores())
			}
			// Whatever was recognised, zeroing its marks makes it nobody's.
			if _, err := Wipe(c.m, c.m.size, 512, "sdb"); err != nil {
				t.Fatal(err)
			}
			if rep := Examine(c.m, c.m.size, 512, "sdb"); rep.Store != nil || rep.Findings != nil {
				t.Fatalf("after wipe: %+v", rep)
			}
		})
	}
}

// A superblock whose mkfs did not finish is no store.
func TestUnfinished(t *testing.T) {
	const size = 300 * mib
	blocks := uint64(size / 4096)
	for _, c := range []struct {
		flags uint32
		want  string
	}{{layout.SuperFormatting, ""}, {layout.SuperClean, `store 11223344 (osd.3, cluster 11223344, "txt", used 2 h ago, partly overwritten)`}} {
		m := disk(size)
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		plan, err := layout.Plan(blocks, layout.PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id := layout.UUID([]byte(someID))
		sb := layout.Superblock{FSID: id, DeviceUUID: id, Generation: 7, Epoch: 6, Flags: c.flags, Role: layout.RoleMain, UnitBytes: 4096, Cluster: id, OSD: 3, Text: "txt", Written: now.Add(-2 * time.Hour),
			Devices: []layout.DeviceEntry{{UUID: id, Blocks: blocks, Role: layout.RoleMain}}}
		sb.SetPlacement(plan)
		for _, b := range plan.Slots {
			sb.Self = layout.MakeAddr(0, b)
			p := make([]byte, layout.BlockSize)
			if err := sb.Encode(p); err != nil {
				t.Fatal(err)
			}
			m.put(int64(b)*4096, string(p))
		}
		rep := Examine(m, size, 512, "sdb")
		got := ""
		if rep.Store != nil {
			got = rep.Store.Describe(now)
		}
		if got != c.want {
			t.Errorf("flags %d: %q, want %q", c.flags, got, c.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	m := disk(300 * mib)
	m.fail = 5000
	if rep := Examine(m, m.size, 512, "x"); !errors.Is(rep.Err, errMedium) {
		t.Fatalf("%+v", rep)
	}
	// A device that shrank under us.
	if rep := Examine(bytes.NewReader(make([]byte, 1000)), 300*mib, 512, "x"); !errors.Is(rep.Err, io.ErrUnexpectedEOF) {
		t.Fatalf("%+v", rep)
	}
}

func TestResidueHash(t *testing.T) {
	m := disk(300*mib).put(7, "x")
	rep := Examine(m, m.size, 512, "x")
	if len(rep.Residue) != 1 || rep.Residue[0].SHA256 != sum(m, 0, 4*mib) || rep.Residue[0].Bytes != 4*mib {
		t.Fatalf("%+v", rep.Residue)
	}
	if raw, err := hex.DecodeString(rep.Residue[0].SHA256); err != nil || len(raw) != 32 {
		t.Fatal(err)
	}
	// 6 MiB: the ends meet and nothing is hashed twice.
	m = disk(6*mib).put(5*mib, "y")
	if rep := Examine(m, m.size, 512, "x"); len(rep.Residue) != 1 || rep.Residue[0].Where != "last" || rep.Residue[0].Bytes != 2*mib {
		t.Fatalf("%+v", rep.Residue)
	}
}

// fuzzBytes is the smallest size at which every prober looks.
const fuzzBytes = 5 * mib / 4

// FuzzExamine: any bytes at either end, and pieces of them elsewhere, are
// examined and wiped without panic or hang.
func FuzzExamine(f *testing.F) {
	seed := func(m *image) {
		p := make([]byte, 72<<10)
		m.ReadAt(p, 0)
		q := make([]byte, 72<<10)
		m.ReadAt(q, m.size-int64(len(q)))
		f.Add(p, q)
	}
	seed(gptTable(disk(fuzzBytes), []string{"a", "b"}, [][2]uint64{{2048, 4095}, {4096, 8191}}))
	seed(mbrEntry(mbrEntry(disk(fuzzBytes), 0, 0, 5, 2, 100), 2, 1, 5, 0, 100))
	seed(extAt(disk(fuzzBytes), 0, 4, 0x42, 0, "x"))
	seed(disk(fuzzBytes).put(4096+24, "\xc6\x85\x73\xf6"))
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		m := disk(6 * mib)
		m.put(0, string(head[:min(len(head), 1<<20)]))
		m.put(m.size-int64(min(len(tail), 1<<20)), string(tail[:min(len(tail), 1<<20)]))
		rep := Examine(m, m.size, 512, "sdb")
		for _, f := range rep.Findings {
			_ = f.String()
		}
		if _, err := Wipe(m, m.size, 512, "sdb"); err != nil && !errors.Is(err, errStubborn) {
			t.Fatal(err)
		}
	})
}
