package damage

import (
	"encoding/binary"
	"math/rand/v2"
)

// image is the zoo with one run damaged.
type image struct {
	class, way string
	at         run
	data       []byte // of the whole run
	eio        bool   // it cannot be read at all
	forged     bool   // the checksum is right
	number     int    // within its cell
}

// ways are the columns, in the order of the table.
var ways = []string{"bit", "field", "forged field", "zeroed", "older version", "lost write", "other block", "garbage", "unreadable"}

// budget is how many images a cell has at most, a hundredth of which -short makes.
var budget = map[string]int{"bit": 700, "field": 260, "forged field": 130, "zeroed": 8, "older version": 8, "lost write": 8, "other block": 8, "garbage": 8, "unreadable": 8}

// images calls fn for the images of a cell. raw reads the zoo, old the older one.
func (z *zoo) images(class, way string, limit int, r *rand.Rand, raw, old func(run) []byte, fn func(image)) {
	runs := z.rows[class]
	n := 0
	give := func(at run, data []byte) {
		if n < limit && (way == "unreadable" || string(data) != string(raw(at))) {
			fn(image{class: class, way: way, at: at, data: data, eio: way == "unreadable", forged: way == "forged field", number: n})
			n++
		}
	}
	for i := 0; i < 4*limit && n < limit; i++ {
		at := runs[i%len(runs)]
		p := append([]byte(nil), raw(at)...)
		from, to := at.bytes()
		switch way {
		case "bit":
			off := from + (i*(to-from)/limit+r.IntN(1+(to-from)/limit))%(to-from)
			p[off] ^= 1 << r.IntN(8)
			give(at, p)
		case "field", "forged field":
			if way == "forged field" && at.sum.at == 0 {
				return
			}
			field(r, p[from:to], i)
			if way == "forged field" {
				at.seal(p)
			}
			give(at, p)
		case "zeroed":
			if i < len(runs) {
				clear(p[from:to])
				give(at, p)
			}
		case "garbage":
			if i < 2*len(runs) {
				for k := from; k < to; k++ {
					p[k] = byte(r.Uint32())
				}
				give(at, p)
			}
		case "unreadable":
			if i < len(runs) {
				give(at, p)
			}
		case "lost write": // what lay there before
			if i < len(runs) {
				give(at, append([]byte(nil), old(at)...))
			}
		case "older version": // of this block, or of one of its kind
			if b := z.before[class]; i < 2*len(runs) && len(b) > 0 {
				src := b[i%len(b)]
				give(at, fit(p, from, to, old(src), src))
			}
		case "other block": // of the same kind
			if len(runs) > 1 && i < 2*len(runs) {
				src := runs[(i+1+i/len(runs))%len(runs)]
				give(at, fit(p, from, to, raw(src), src))
			}
		}
	}
}

// fit puts the bytes of interest of src in place of p's.
func fit(p []byte, from, to int, data []byte, src run) []byte {
	sf, st := src.bytes()
	clear(p[from:to])
	copy(p[from:to], data[sf:st])
	return p
}

// field changes one number of p: near the front in most cases, where headers and
// tables of offsets are, of one to eight bytes.
func field(r *rand.Rand, p []byte, i int) {
	size := []int{1, 2, 4, 8}[r.IntN(4)]
	area := len(p)
	if i%3 > 0 {
		area = min(area, 160)
	}
	off := r.IntN(max(1, area-size)) &^ (size - 1)
	if off+size > len(p) {
		return
	}
	var q [8]byte
	copy(q[:], p[off:off+size])
	v := binary.LittleEndian.Uint64(q[:])
	switch i % 5 {
	case 0:
		v = 0
	case 1:
		v = 1<<64 - 1
	case 2:
		v++
	case 3:
		v--
	case 4:
		v = r.Uint64()
	}
	binary.LittleEndian.PutUint64(q[:], v)
	copy(p[off:off+size], q[:])
}
