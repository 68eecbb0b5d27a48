package probe

import (
	"hash/crc32"
	"strconv"
	"strings"
	"unicode/utf16"
)

const (
	// maxPartitions bounds what is read of a table; real ones have 128 entries.
	maxPartitions = 1024
	// maxLogical bounds the chain of logical partitions, which may loop.
	maxLogical = 64
)

// gpt recognises a GUID partition table by either of its two headers.
func gpt(s *source) []Finding {
	sectors := []int64{s.sector}
	for _, other := range []int64{512, 4096} {
		if other != s.sector {
			sectors = append(sectors, other)
		}
	}
	for _, sector := range sectors {
		f := Finding{Kind: "gpt", Noun: "a GPT partition table"}
		last := s.size/sector*sector - sector
		var good, damaged int
		for _, at := range []int64{sector, last} {
			if at < sector || !s.has(at, "EFI PART") {
				continue
			}
			f.Marks = append(f.Marks, Mark{at, 8})
			h := gptHeader(s, at, sector)
			if h == nil {
				damaged++
				continue
			}
			if good++; good == 1 {
				f.UUID = guid(h[56:72])
				f.Partitions = gptEntries(s, h, sector)
			}
			if at == last && len(f.Marks) == 1 {
				f.Note = "only its backup at the end is left"
			}
		}
		if f.Marks == nil {
			continue
		}
		if good == 0 {
			f.Note = "damaged"
		}
		if s.has(510, "\x55\xaa") && protective(s.at(446, 64)) {
			f.Marks = append(f.Marks, Mark{510, 2})
		}
		return []Finding{f}
	}
	return nil
}

// gptHeader returns the header at byte at if its checksum is right, else nil.
//
//	off len
//	  0   8 "EFI PART"     8 4 revision   12 4 header bytes
//	 16   4 CRC-32 of the header with this field zero
//	 24   8 own sector    32 8 other header's sector
//	 56  16 disk GUID     72 8 first sector of the entries
//	 80   4 entries       84 4 bytes of one   88 4 CRC-32 of all
func gptHeader(s *source, at, sector int64) []byte {
	p := s.at(at, int(sector))
	if p == nil {
		return nil
	}
	n := int(le.Uint32(p[12:]))
	if n < 92 || n > len(p) {
		return nil
	}
	h := append([]byte(nil), p[:n]...)
	want := le.Uint32(h[16:])
	clear(h[16:20])
	if crc32.ChecksumIEEE(h) != want || int64(le.Uint64(h[24:])) != at/sector {
		return nil
	}
	return h
}

// gptEntries lists the used entries.
//
//	off len
//	  0  16 type GUID   16 16 own GUID   32 8 first sector   40 8 last sector
//	 56  72 name, UTF-16
func gptEntries(s *source, h []byte, sector int64) (list []Partition) {
	start, n, size := le.Uint64(h[72:]), int(le.Uint32(h[80:])), int(le.Uint32(h[84:]))
	if size < 128 || size > 4096 || n > maxPartitions || start > uint64(s.size/sector) {
		return nil
	}
	for i := range n {
		e := s.at(int64(start)*sector+int64(i*size), size)
		if e == nil || zeroBytes(e[:16]) {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first > last || last >= uint64(s.size/sector) {
			continue
		}
		var name []uint16
		for j := 56; j < 128; j += 2 {
			c := le.Uint16(e[j:])
			if c == 0 {
				break
			}
			name = append(name, c)
		}
		list = append(list, Partition{
			Number: i + 1, Type: guid(e[:16]), Label: string(utf16.Decode(name)),
			Start: int64(first) * sector, Bytes: int64(last-first+1) * sector,
		})
	}
	return list
}

// dos recognises a DOS partition table (MBR): its mark, and four entries that
// make sense. The boot sectors of FAT and NTFS end in the same mark, so they
// are asked first.
func dos(s *source) []Finding {
	if !s.has(510, "\x55\xaa") || fat(s) != nil || ntfs(s) != nil {
		return nil
	}
	entries := s.at(446, 64)
	if protective(entries) {
		if gpt(s) != nil {
			return nil // part of it
		}
	}
	f := Finding{Kind: "dos", Noun: "an MBR partition table", Marks: []Mark{{510, 2}}}
	for i := range 4 {
		e := entries[16*i:][:16]
		if e[0] != 0 && e[0] != 0x80 {
			return nil
		}
		p := dosEntry(e, 0, s.sector)
		if p.Type == "00" || p.Bytes == 0 {
			continue
		}
		if p.Start == 0 || p.Start >= s.size {
			return nil
		}
		p.Number = i + 1
		f.Partitions = append(f.Partitions, p)
		if extended(e[4]) {
			f.Partitions = append(f.Partitions, logical(s, p.Start)...)
		}
	}
	return []Finding{f}
}

// dosEntry decodes 16 bytes: type at 4, first sector at 8, sectors at 12.
func dosEntry(e []byte, base, sector int64) Partition {
	return Partition{
		Type:  hex2(e[4]),
		Start: base + int64(le.Uint32(e[8:]))*sector,
		Bytes: int64(le.Uint32(e[12:])) * sector,
	}
}

func hex2(b byte) string {
	s := strconv.FormatUint(uint64(b), 16)
	return strings.Repeat("0", 2-len(s)) + s
}

func extended(typ byte) bool { return typ == 0x05 || typ == 0x0f || typ == 0x85 }

// logical follows the chain of logical partitions from the extended one at start.
func logical(s *source, start int64) (list []Partition) {
	at := start
	for n := 5; n < 5+maxLogical; n++ {
		p := s.at(at, 512)
		if p == nil || p[510] != 0x55 || p[511] != 0xaa {
			return list
		}
		if one := dosEntry(p[446:462], at, s.sector); one.Type != "00" && one.Bytes > 0 && one.Start < s.size {
			one.Number = n
			list = append(list, one)
		}
		next := dosEntry(p[462:478], start, s.sector)
		if next.Type == "00" || next.Start <= at {
			return list
		}
		at = next.Start
	}
	return list
}

// protective reports whether one of four entries is the placeholder of a GPT.
func protective(entries []byte) bool {
	for i := 0; i+16 <= len(entries); i += 16 {
		if entries[i+4] == 0xee {
			return true
		}
	}
	return false
}

// fillPartitions looks into every partition and names it after the disk.
func fillPartitions(s *source, disk string, list []Partition) {
	if disk != "" && disk[len(disk)-1] >= '0' && disk[len(disk)-1] <= '9' {
		disk += "p"
	}
	for i := range list {
		p := &list[i]
		p.Name = disk + strconv.Itoa(p.Number)
		if len(p.Type) == 2 && (p.Type == "05" || p.Type == "0f" || p.Type == "85") {
			p.Findings = []Finding{{Kind: "extended", Noun: "an extended partition"}}
			continue
		}
		n := min(p.Bytes, s.size-p.Start)
		if p.Start < 0 || n <= 0 {
			continue
		}
		in := s.part(p.Start, n)
		p.Store, p.Findings = ours(in), examineContents(in)
		if s.err == nil {
			s.err = in.err
		}
	}
}
