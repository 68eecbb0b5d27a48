package devices

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// sysDir is a directory of sysfs.
type sysDir struct {
	fsys fs.FS
	path string // real path: no symbolic link in it
}

// sysBlock returns the directory of a block device.
func sysBlock(fsys fs.FS, major, minor uint32) (sysDir, error) {
	d := sysDir{fsys, "dev/block"}.follow(fmt.Sprintf("%d:%d", major, minor))
	if _, err := fs.Stat(fsys, d.path); err != nil {
		return d, fmt.Errorf("sysfs: %w", err)
	}
	return d, nil
}

// follow returns the directory that an entry of d links to.
func (d sysDir) follow(name string) sysDir {
	p := path.Join(d.path, name)
	if to, err := fs.ReadLink(d.fsys, p); err == nil {
		p = path.Join(d.path, to)
	}
	return sysDir{d.fsys, p}
}

// text returns an attribute, or "" if the kernel does not have it.
func (d sysDir) text(name string) string {
	p, err := fs.ReadFile(d.fsys, path.Join(d.path, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(p))
}

// number returns an attribute that is a count, or 0.
func (d sysDir) number(name string) uint64 {
	s, _, _ := strings.Cut(d.text(name), " ") // an array that changes shape: "5 (4)"
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0 // absent, or negative: "unknown" for alignment_offset
	}
	return n
}

func (d sysDir) has(name string) bool {
	_, err := fs.Stat(d.fsys, path.Join(d.path, name))
	return err == nil
}

// list returns the names in a subdirectory.
func (d sysDir) list(name string) []string {
	es, err := fs.ReadDir(d.fsys, path.Join(d.path, name))
	if err != nil {
		return nil
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = e.Name()
	}
	return names
}

// disk returns the directory of the whole disk of a partition, or d itself.
func (d sysDir) disk() sysDir {
	if d.has("partition") {
		return sysDir{d.fsys, path.Dir(d.path)}
	}
	return d
}

// name returns the kernel name of the device.
func (d sysDir) name() string { return path.Base(d.path) }

// limits reads what the kernel knows of the device and of what it is made of.
func (d sysDir) limits() limits { return *d.limitsAt(0) }

func (d sysDir) limitsAt(depth int) *limits {
	disk := d.disk()
	q := sysDir{d.fsys, path.Join(disk.path, "queue")}
	l := &limits{
		name:       disk.name(),
		bytes:      d.number("size") * 512,
		logical:    q.number("logical_block_size"),
		physical:   q.number("physical_block_size"),
		ioMin:      q.number("minimum_io_size"),
		ioOpt:      q.number("optimal_io_size"),
		chunk:      q.number("chunk_sectors") * 512,
		stream:     q.number("write_stream_granularity"),
		alignOff:   disk.number("alignment_offset"),
		zeroMax:    q.number("write_zeroes_max_bytes"),
		maxIO:      q.number("max_sectors_kb") << 10,
		volatile:   q.text("write_cache") != "write through", // unknown counts as volatile
		fua:        q.text("fua") == "1",
		rotational: q.text("rotational") == "1",
	}
	if z := q.text("zoned"); z != "" && z != "none" {
		l.zoned = true
		l.sequential = z == "host-managed"
	}
	if q.number("discard_max_bytes") > 0 {
		l.discard = max(q.number("discard_granularity"), l.logical)
	}
	if d.path != disk.path {
		l.start = d.number("start") * 512
	}
	disk.stack(l, depth)
	return l
}

// stack fills in what a disk of md or device mapper is made of, and how.
func (d sysDir) stack(l *limits, depth int) {
	const maxDepth = 8 // deeper than any stack that is not a mistake
	if level := d.text("md/level"); level != "" {
		l.raid = raid{level: "md " + level, chunk: d.number("md/chunk_size"), disks: d.number("md/raid_disks")}
		switch level {
		case "raid4", "raid5":
			l.raid.parity = 1
		case "raid6":
			l.raid.parity = 2
		}
	}
	l.mapped = strings.HasPrefix(l.name, "dm-")
	if depth == maxDepth {
		return
	}
	images := uint64(0)
	slaves := sysDir{d.fsys, path.Join(d.path, "slaves")}
	for _, name := range slaves.list(".") {
		s := slaves.follow(name)
		below := s.limitsAt(depth + 1)
		below.at = d.number("md/dev-"+name+"/offset") * 512
		l.below = append(l.below, below)
		if strings.Contains(s.text("dm/name"), "_rimage_") {
			images++
		}
	}
	if images > 0 && l.ioMin > 0 {
		l.raid = lvm(images, l.ioMin, l.ioOpt/l.ioMin)
	}
}

// lvm tells the level of an array that LVM made of so many images: sysfs has the
// chunk and the number of chunks of data in a row, which no mirror shares with an
// array of parity (of three images at least, five with two parities).
func lvm(images, chunk, data uint64) raid {
	r := raid{level: "LVM RAID", chunk: chunk, disks: images}
	switch {
	case images >= 3 && data == images-1:
		r.level, r.parity = "LVM RAID-5", 1
	case images >= 5 && data == images-2:
		r.level, r.parity = "LVM RAID-6", 2
	}
	return r
}

// identity returns model and serial number of the disk, where it has them.
func (d sysDir) identity() (model, serial string) {
	disk := d.disk()
	model = disk.text("device/model")
	for _, p := range []string{"device/serial", "serial", "device/wwid", "wwid"} {
		if serial = disk.text(p); serial != "" {
			break
		}
	}
	return model, serial
}
