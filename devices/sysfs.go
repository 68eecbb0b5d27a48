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

// limits reads what the kernel knows of the device.
func (d sysDir) limits() limits {
	disk := d.disk()
	q := sysDir{d.fsys, path.Join(disk.path, "queue")}
	l := limits{
		name:       disk.name(),
		logical:    q.number("logical_block_size"),
		physical:   q.number("physical_block_size"),
		ioMin:      q.number("minimum_io_size"),
		ioOpt:      q.number("optimal_io_size"),
		chunk:      q.number("chunk_sectors") * 512,
		alignOff:   disk.number("alignment_offset"),
		zeroMax:    q.number("write_zeroes_max_bytes"),
		maxIO:      q.number("max_sectors_kb") << 10,
		volatile:   q.text("write_cache") != "write through", // unknown counts as volatile
		fua:        q.text("fua") == "1",
		rotational: q.text("rotational") == "1",
		raid:       d.raid(0),
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
	return l
}

// raid finds the md array a device is, or lies on: the array itself, or the
// first one below a stack of device mapper and partitions. A parity array
// wins over others.
func (d sysDir) raid(depth int) raid {
	const maxDepth = 8 // deeper than any stack that is not a mistake
	disk := d.disk()
	if level := disk.text("md/level"); level != "" {
		return raid{level, disk.number("md/chunk_size"), disk.number("md/raid_disks")}
	}
	var found raid
	if depth == maxDepth {
		return found
	}
	slaves := sysDir{d.fsys, path.Join(disk.path, "slaves")}
	for _, name := range slaves.list(".") {
		r := slaves.follow(name).raid(depth + 1)
		if r.parity() > 0 {
			return r
		}
		if found.level == "" {
			found = r
		}
	}
	return found
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
