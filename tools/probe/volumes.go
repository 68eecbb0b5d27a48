package probe

import (
	"bytes"
	"fmt"
)

// lvm recognises an LVM physical volume: its label is in one of the first four
// sectors of 512 bytes.
//
//	off len
//	  0   8 "LABELONE"   8 8 own sector   16 4 crc   24 8 "LVM2 001"
//	 32  32 UUID, letters and digits
func lvm(s *source) []Finding {
	for sector := range int64(4) {
		p := s.at(512*sector, 512)
		if p == nil || string(p[:8]) != "LABELONE" || string(p[24:32]) != "LVM2 001" {
			continue
		}
		id := text(p[32:64])
		if len(id) == 32 {
			id = id[:6] + "-" + id[6:10] + "-" + id[10:14] + "-" + id[14:18] + "-" + id[18:22] + "-" + id[22:26] + "-" + id[26:]
		}
		return []Finding{{Kind: "lvm", Noun: "an LVM physical volume", UUID: id, Marks: []Mark{{512 * sector, 8}}}}
	}
	return nil
}

// md recognises a member of a Linux software RAID by its superblock: 0.90 in the
// last 64 KiB boundary but one, 1.0 at the end, 1.1 at the start, 1.2 at 4 KiB.
func md(s *source) (found []Finding) {
	const magic = 0xa92b4efc
	if at := s.size&^65535 - 65536; at >= 0 {
		if p := s.at(at, 64); p != nil && (le.Uint32(p) == magic && le.Uint32(p[4:]) == 0 || be.Uint32(p) == magic && be.Uint32(p[4:]) == 0) {
			id := append(append([]byte(nil), p[20:24]...), p[52:64]...)
			found = append(found, Finding{Kind: "md", Noun: "a member of an md RAID", Note: "metadata 0.90", UUID: uuid(id), Marks: []Mark{{at, 4}}})
		}
	}
	for _, v := range []struct {
		at   int64
		name string
	}{{(s.size/512 - 16) &^ 7 * 512, "1.0"}, {0, "1.1"}, {4096, "1.2"}} {
		p := s.at(v.at, 64)
		if v.at < 0 || p == nil || le.Uint32(p) != magic || le.Uint32(p[4:]) != 1 {
			continue
		}
		found = append(found, Finding{Kind: "md", Noun: "a member of an md RAID", Note: "metadata " + v.name, UUID: uuid(p[16:32]), Label: text(p[32:64]), Marks: []Mark{{v.at, 4}}})
	}
	return found
}

// raidBIOS recognises the RAID formats of mainboards and controllers, at the end.
func raidBIOS(s *source) []Finding {
	if s.has(-1024, "Intel Raid ISM Cfg Sig. ") {
		return []Finding{{Kind: "isw", Noun: "a member of an Intel RAID", Marks: []Mark{{s.size - 1024, 24}}}}
	}
	if s.has(-512, "\xde\x11\xde\x11") {
		return []Finding{{Kind: "ddf", Noun: "a member of a DDF RAID", Marks: []Mark{{s.size - 512, 4}}}}
	}
	return nil
}

// luks recognises an encrypted volume. LUKS2 keeps a second header at one of a
// few offsets, which counts, too.
//
//	off len
//	  0   6 "LUKS" BA BE   6 2 version, big-endian
//	 24  48 label (version 2)   168 40 UUID as text
func luks(s *source) []Finding {
	var f *Finding
	see := func(at int64, magic string) {
		p := s.at(at, 512)
		if p == nil || string(p[:6]) != magic {
			return
		}
		version := be.Uint16(p[6:])
		if version != 1 && version != 2 {
			return
		}
		if f == nil {
			f = &Finding{Kind: "luks", Noun: fmt.Sprintf("a LUKS%d encrypted volume", version), UUID: text(p[168:208])}
			if version == 2 {
				f.Label = text(p[24:72])
			}
			if at > 0 {
				f.Note = "only its second header is left"
			}
		}
		f.Marks = append(f.Marks, Mark{at, 6})
	}
	see(0, "LUKS\xba\xbe")
	for at := int64(16 << 10); at <= 4<<20; at *= 2 {
		see(at, "SKUL\xba\xbe")
	}
	if f == nil {
		return nil
	}
	return []Finding{*f}
}

// swap recognises swap space and hibernation images: a magic in the last ten
// bytes of the first page, whatever the page size. UUID and label stand behind
// the first KiB.
func swap(s *source) []Finding {
	for page := int64(4096); page <= 65536; page *= 2 {
		for _, m := range []struct{ magic, noun string }{
			{"SWAPSPACE2", "swap space"}, {"SWAP-SPACE", "swap space"},
			{"S1SUSPEND\x00", "a hibernation image"}, {"S2SUSPEND\x00", "a hibernation image"}, {"ULSUSPEND\x00", "a hibernation image"}, {"LINHIB0001", "a hibernation image"},
		} {
			if s.has(page-10, m.magic) {
				return []Finding{{Kind: "swap", Noun: m.noun, UUID: uuid(s.at(1036, 16)), Label: text(s.at(1052, 16)), Marks: []Mark{{page - 10, 10}}}}
			}
		}
	}
	return nil
}

// zfs recognises a member of a pool by any uberblock in any of its four labels
// of 256 KiB, two at each end. The second half of a label is a ring of them.
func zfs(s *source) []Finding {
	const label = 256 << 10
	size := s.size &^ (label - 1)
	if size < 4*label {
		return nil
	}
	var f *Finding
	for _, at := range []int64{0, label, size - 2*label, size - label} {
		ring := s.at(at+label/2, label/2)
		seen := false
		for off := 0; off+8 <= len(ring); off += 1024 {
			m := ring[off : off+8]
			if le.Uint64(m) == 0x00bab10c || be.Uint64(m) == 0x00bab10c {
				seen = true
				break
			}
		}
		if !seen {
			continue
		}
		if f == nil {
			f = &Finding{Kind: "zfs", Noun: "a member of a ZFS pool"}
		}
		if f.Label == "" {
			f.Label = zfsPool(s.at(at+16<<10, 112<<10))
		}
		f.Marks = append(f.Marks, Mark{at, label})
	}
	if f == nil {
		return nil
	}
	return []Finding{*f}
}

// zfsPool finds the string "name" in a label's list of names and values (XDR:
// four-byte big-endian numbers, strings padded to four).
func zfsPool(p []byte) string {
	if len(p) < 12 || p[0] != 1 {
		return ""
	}
	for p = p[12:]; len(p) >= 12; {
		size := int(be.Uint32(p))
		if size < 12 || size > len(p) {
			return ""
		}
		pair := p[8:size]
		p = p[size:]
		name, rest := xdrString(pair)
		if name == "name" && len(rest) >= 12 && be.Uint32(rest) == 9 {
			value, _ := xdrString(rest[8:])
			return text([]byte(value))
		}
	}
	return ""
}

func xdrString(p []byte) (s string, rest []byte) {
	if len(p) < 4 {
		return "", nil
	}
	n := int(be.Uint32(p))
	if p = p[4:]; n < 0 || n > len(p) {
		return "", nil
	}
	return string(p[:n]), p[min(len(p), (n+3)&^3):]
}

// bluestore recognises the label of a Ceph OSD's BlueStore at any of its places.
func bluestore(s *source) []Finding {
	const magic = "bluestore block device\n"
	var f *Finding
	for _, at := range []int64{0, 1 << 30, 10 << 30, 100 << 30, 1000 << 30} {
		if !s.has(at, magic) {
			continue
		}
		if f == nil {
			f = &Finding{Kind: "bluestore", Noun: "a BlueStore OSD"}
			if id, _, ok := bytes.Cut(s.at(at+int64(len(magic)), 64), []byte("\n")); ok && len(id) == 36 {
				f.UUID = text(id)
			}
		}
		f.Marks = append(f.Marks, Mark{at, int64(len(magic))})
	}
	if f == nil {
		return nil
	}
	return []Finding{*f}
}

// bcache recognises bcache and bcachefs, whose superblocks begin alike at
// 4 KiB: magic at 24, UUID at 40 (bcachefs: at 56), label at 72.
func bcache(s *source) []Finding {
	const at = 4096
	p := s.at(at, 512)
	if p == nil {
		return nil
	}
	const old = "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
	const fs = "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"
	mark := []Mark{{at + 24, 16}}
	switch string(p[24:40]) {
	case fs:
		return []Finding{{Kind: "bcachefs", Noun: "a bcachefs file system", UUID: uuid(p[56:72]), Label: text(p[72:104]), Marks: mark}}
	case old:
		// bcachefs first used bcache's magic, with a version beyond bcache's
		// small numbers.
		if le.Uint64(p[16:]) > 6 {
			return []Finding{{Kind: "bcachefs", Noun: "a bcachefs file system", UUID: uuid(p[56:72]), Label: text(p[72:104]), Marks: mark}}
		}
		return []Finding{{Kind: "bcache", Noun: "a bcache device", UUID: uuid(p[40:56]), Label: text(p[72:104]), Marks: mark}}
	}
	return nil
}
