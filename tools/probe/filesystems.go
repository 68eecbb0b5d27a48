package probe

import (
	"fmt"
	"strings"
)

// ext recognises ext2, ext3 and ext4 and their external journals. The magic is
// two bytes, so sizes and the revision must make sense.
//
//	off (from 1024)
//	  0 inodes   4 blocks   24 log block size   56 magic 53 EF   76 revision
//	 92 compat   96 incompat   100 ro_compat   104 UUID   120 label, 16 bytes
func ext(s *source) []Finding {
	p := s.at(1024, 264)
	if p == nil || p[56] != 0x53 || p[57] != 0xef || le.Uint32(p[24:]) > 6 || le.Uint32(p[76:]) > 1 || le.Uint32(p[4:]) == 0 {
		return nil
	}
	const hasJournal, journalDevice = 0x4, 0x8
	// Features an ext3 driver does not know: extents, 64bit, flex_bg and later.
	const beyond3, roBeyond3 = ^uint32(0x2 | 0x4 | 0x10), ^uint32(0x1 | 0x2 | 0x4)
	compat, incompat, ro := le.Uint32(p[92:]), le.Uint32(p[96:]), le.Uint32(p[100:])
	kind := "ext2"
	switch {
	case incompat&journalDevice != 0:
		kind = "ext-journal"
	case incompat&beyond3 != 0 || ro&roBeyond3 != 0:
		kind = "ext4"
	case compat&hasJournal != 0:
		kind = "ext3"
	}
	noun := "an " + kind + " file system"
	if kind == "ext-journal" {
		noun = "an external ext journal"
	}
	return []Finding{{Kind: kind, Noun: noun, UUID: uuid(p[104:120]), Label: text(p[120:136]), Marks: []Mark{{1024 + 56, 2}}}}
}

// btrfs recognises any of the three copies of the superblock: at 64 KiB, 64 MiB
// and 256 GiB; magic at 64, file system UUID at 32, label at 299.
func btrfs(s *source) []Finding {
	var f *Finding
	for _, at := range []int64{64 << 10, 64 << 20, 256 << 30} {
		p := s.at(at, 4096)
		if p == nil || string(p[64:72]) != "_BHRfS_M" {
			continue
		}
		if f == nil {
			f = &Finding{Kind: "btrfs", Noun: "a btrfs file system", UUID: uuid(p[32:48]), Label: text(p[299 : 299+256])}
			if at > 64<<10 {
				f.Note = "only a copy of its superblock is left"
			}
		}
		f.Marks = append(f.Marks, Mark{at + 64, 8})
	}
	if f == nil {
		return nil
	}
	return []Finding{*f}
}

// nilfs recognises NILFS2 by either superblock, at 1 KiB and in the last 4 KiB.
// The magic is two bytes, so revision and length must fit.
//
//	off len
//	  0   4 revision, 2   6 2 magic 34 34   8 2 bytes   152 16 UUID   168 80 label
func nilfs(s *source) []Finding {
	var f *Finding
	for _, at := range []int64{1024, s.size&^4095 - 4096} {
		p := s.at(at, 1024)
		if at < 1024 || p == nil || le.Uint32(p) != 2 || p[6] != 0x34 || p[7] != 0x34 || le.Uint16(p[8:]) < 248 || le.Uint16(p[8:]) > 1024 {
			continue
		}
		if f == nil {
			f = &Finding{Kind: "nilfs2", Noun: "a NILFS2 file system", UUID: uuid(p[152:168]), Label: text(p[168:248])}
			if at > 1024 {
				f.Note = "only its second superblock is left"
			}
		}
		f.Marks = append(f.Marks, Mark{at + 6, 2})
	}
	if f == nil {
		return nil
	}
	return []Finding{*f}
}

// fat recognises FAT12, FAT16, FAT32 and exFAT boot sectors.
func fat(s *source) []Finding {
	p := s.at(0, 512)
	if p == nil || p[510] != 0x55 || p[511] != 0xaa {
		return nil
	}
	if string(p[3:11]) == "EXFAT   " {
		return []Finding{{Kind: "exfat", Noun: "an exFAT file system", UUID: serial4(p[100:104]), Marks: []Mark{{3, 8}, {510, 2}}}}
	}
	bytesPerSector, perCluster, copies := le.Uint16(p[11:]), p[13], p[16]
	if bytesPerSector < 512 || bytesPerSector > 4096 || bytesPerSector&(bytesPerSector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 || copies == 0 || copies > 4 {
		return nil
	}
	switch {
	case string(p[82:87]) == "FAT32":
		return []Finding{{Kind: "fat32", Noun: "a FAT32 file system", UUID: serial4(p[67:71]), Label: fatLabel(p[71:82]), Marks: []Mark{{82, 8}, {510, 2}}}}
	case string(p[54:57]) == "FAT":
		kind := strings.ToLower(strings.TrimRight(text(p[54:62]), " "))
		return []Finding{{Kind: kind, Noun: "a " + strings.ToUpper(kind) + " file system", UUID: serial4(p[39:43]), Label: fatLabel(p[43:54]), Marks: []Mark{{54, 8}, {510, 2}}}}
	}
	return nil
}

func serial4(p []byte) string {
	if zeroBytes(p) {
		return ""
	}
	return fmt.Sprintf("%04X-%04X", le.Uint16(p[2:]), le.Uint16(p))
}

func fatLabel(p []byte) string {
	if l := text(p); l != "NO NAME" {
		return l
	}
	return ""
}

// ntfs recognises an NTFS boot sector: name at 3, serial number at 72.
func ntfs(s *source) []Finding {
	p := s.at(0, 512)
	if p == nil || string(p[3:11]) != "NTFS    " {
		return nil
	}
	return []Finding{{Kind: "ntfs", Noun: "an NTFS file system", UUID: fmt.Sprintf("%016X", le.Uint64(p[72:])), Marks: []Mark{{3, 8}, {510, 2}}}}
}
