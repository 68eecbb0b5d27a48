package ebofs

import (
	"encoding/binary"
	"fmt"

	"ebofs/ebofs/layout"
)

// change is one resolved operation: everything that depends on the moment
// (space, object ids) is decided, so applying it is a function of the state
// and the change alone. The log stores changes; replay applies them through
// the same code.
type change struct {
	code       opCode
	coll, dest CollectionID
	key, to    string // encoded object keys
	id         uint64 // object id to use should the operation create the object
	off, n     uint64
	toOff      uint64 // of a cloned range
	flags      uint32
	data       []byte
	pairs      []pair
	place      []placed
	spec       CollSpec

	takes  need   // what a clone takes; not logged
	op     int    // which operation of the transaction it is part of; not logged
	o, dst *onode // found by the queue or by replay; not logged
}

// placed is a run of blocks written before the record that names them.
type placed struct {
	addr layout.Addr
	crc  []uint32 // one a block
}

// recordVersion is the first byte of every record's body.
//
//	version u8 | epoch uvarint | operations uvarint | operations
//	operation: code u8, then the fields of its kind in the order of fields()
//	string: length uvarint, bytes; object keys and collection ids are stored
//	once and named afterwards by their number (0 = a new one follows)
const recordVersion = 1

// recordEncoder builds a record as a list of parts, so that journaled data is
// copied once, into the log's batch.
type recordEncoder struct {
	buf   []byte
	from  int // start of the part being built
	parts [][]byte
	keys  []string
}

func (e *recordEncoder) reset() {
	e.buf, e.from = e.buf[:0], 0
	clear(e.parts)
	e.parts = e.parts[:0]
	e.keys = e.keys[:0]
}

// encode returns the parts of a record; they are valid until reset.
func (e *recordEncoder) encode(epoch uint64, cs []change) [][]byte {
	e.reset()
	e.buf = append(e.buf, recordVersion)
	e.uint(epoch)
	e.uint(uint64(len(cs)))
	for i := range cs {
		e.change(&cs[i])
	}
	e.parts = append(e.parts, e.buf[e.from:])
	return e.parts
}

func (e *recordEncoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }

func (e *recordEncoder) str(s string) {
	e.uint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

// bytes stores p; a long one becomes a part of its own and is not copied here.
func (e *recordEncoder) bytes(p []byte) {
	e.uint(uint64(len(p)))
	if len(p) < 512 {
		e.buf = append(e.buf, p...)
		return
	}
	e.parts = append(e.parts, e.buf[e.from:], p)
	e.from = len(e.buf)
}

// name stores a key or collection id, or the number of an equal earlier one.
func (e *recordEncoder) name(s string) {
	for i := len(e.keys) - 1; i >= 0 && i >= len(e.keys)-16; i-- {
		if e.keys[i] == s {
			e.uint(uint64(i) + 1)
			return
		}
	}
	e.keys = append(e.keys, s)
	e.uint(0)
	e.str(s)
}

func (e *recordEncoder) change(c *change) {
	e.buf = append(e.buf, byte(c.code))
	e.name(string(c.coll))
	switch c.code {
	case opMkColl:
		e.spec(c.spec)
		e.uint(uint64(c.flags))
		return
	case opRmColl:
		return
	case opSplit, opMerge, opRenColl:
		e.name(string(c.dest))
		e.spec(c.spec)
		return
	}
	e.name(c.key)
	if c.code.creates() {
		e.uint(c.id)
	}
	switch c.code {
	case opWrite:
		e.uint(c.off)
		e.bytes(c.data)
	case opPlace:
		e.uint(c.off)
		e.uint(c.n)
		e.uint(uint64(len(c.place)))
		for _, p := range c.place {
			e.uint(uint64(p.addr))
			e.uint(uint64(len(p.crc)))
			for _, v := range p.crc {
				e.buf = binary.LittleEndian.AppendUint32(e.buf, v)
			}
		}
	case opZero:
		e.uint(c.off)
		e.uint(c.n)
	case opTruncate:
		e.uint(c.off)
	case opSetAttrs, opOmapSet:
		e.uint(uint64(len(c.pairs)))
		for i := range c.pairs {
			e.str(c.pairs[i].key)
			e.bytes(c.pairs[i].value)
		}
	case opRmAttrs, opOmapRm, opOmapRange:
		e.uint(uint64(len(c.pairs)))
		for i := range c.pairs {
			e.str(c.pairs[i].key)
		}
	case opOmapHead:
		e.bytes(c.data)
	case opHint:
		e.uint(c.off)
		e.uint(c.n)
		e.uint(uint64(c.flags))
	case opRename:
		e.name(string(c.dest))
		e.name(c.to)
	case opClone:
		e.name(c.to)
		e.uint(c.id)
	case opCloneRng:
		e.name(c.to)
		e.uint(c.id)
		e.uint(c.off)
		e.uint(c.n)
		e.uint(c.toOff)
	}
}

func (e *recordEncoder) spec(s CollSpec) {
	e.buf = append(e.buf, byte(s.Shard))
	e.buf = binary.AppendVarint(e.buf, s.Pool)
	e.buf = append(e.buf, s.Bits)
	e.uint(uint64(s.Seed))
}

// recordDecoder is a bounded reader: the first error sticks, and no count is
// believed beyond the bytes that are there.
type recordDecoder struct {
	p    []byte
	keys []string
	err  error
}

// decodeRecord reads what encode wrote. The changes alias p.
func decodeRecord(p []byte) (epoch uint64, cs []change, err error) {
	d := recordDecoder{p: p}
	if v := d.byte(); d.err == nil && v != recordVersion {
		return 0, nil, fmt.Errorf("log record version %d, this release reads %d: %w", v, recordVersion, ErrUnsupported)
	}
	epoch = d.uint()
	n := d.count(2)
	cs = make([]change, 0, n)
	for range n {
		var c change
		d.change(&c)
		if d.err != nil {
			return 0, nil, d.err
		}
		cs = append(cs, c)
	}
	if d.err == nil && len(d.p) != 0 {
		d.fail("%d bytes left over", len(d.p))
	}
	return epoch, cs, d.err
}

func (d *recordDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("log record: %s: %w", fmt.Sprintf(format, args...), ErrCorrupt)
	}
	d.p = nil
}

func (d *recordDecoder) byte() byte {
	if len(d.p) == 0 {
		d.fail("ends early")
		return 0
	}
	b := d.p[0]
	d.p = d.p[1:]
	return b
}

func (d *recordDecoder) uint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.p = d.p[n:]
	return v
}

// count reads a number of things that take at least each bytes.
func (d *recordDecoder) count(each int) int {
	v := d.uint()
	if v > uint64(len(d.p)/each) {
		d.fail("count %d in %d bytes", v, len(d.p))
		return 0
	}
	return int(v)
}

func (d *recordDecoder) bytes() []byte {
	n := d.count(1)
	p := d.p[:n:n]
	d.p = d.p[n:]
	return p
}

func (d *recordDecoder) str() string { return string(d.bytes()) }

func (d *recordDecoder) name() string {
	i := d.uint()
	if i > uint64(len(d.keys)) {
		d.fail("name %d of %d", i, len(d.keys))
		return ""
	}
	if i > 0 {
		return d.keys[i-1]
	}
	s := d.str()
	d.keys = append(d.keys, s)
	return s
}

func (d *recordDecoder) change(c *change) {
	c.code = opCode(d.byte())
	c.coll = CollectionID(d.name())
	switch c.code {
	case opMkColl:
		c.spec = d.spec()
		c.flags = uint32(d.uint())
		return
	case opRmColl:
		return
	case opSplit, opMerge, opRenColl:
		c.dest = CollectionID(d.name())
		c.spec = d.spec()
		return
	}
	c.key = d.name()
	if c.code.creates() {
		c.id = d.uint()
	}
	switch c.code {
	case opTouch, opRemove, opOmapClear:
	case opWrite:
		c.off = d.uint()
		c.data = d.bytes()
		c.n = uint64(len(c.data))
	case opPlace:
		c.off, c.n = d.uint(), d.uint()
		c.place = make([]placed, d.count(2))
		for i := range c.place {
			p := &c.place[i]
			p.addr = layout.Addr(d.uint())
			p.crc = make([]uint32, d.count(4))
			for j := range p.crc {
				p.crc[j] = binary.LittleEndian.Uint32(d.p[4*j:])
			}
			if d.err == nil {
				d.p = d.p[4*len(p.crc):]
			}
		}
	case opZero:
		c.off, c.n = d.uint(), d.uint()
	case opTruncate:
		c.off = d.uint()
	case opSetAttrs, opOmapSet:
		c.pairs = make([]pair, d.count(2))
		for i := range c.pairs {
			c.pairs[i] = pair{d.str(), d.bytes()}
		}
	case opRmAttrs, opOmapRm, opOmapRange:
		c.pairs = make([]pair, d.count(1))
		for i := range c.pairs {
			c.pairs[i].key = d.str()
		}
		if c.code == opOmapRange && len(c.pairs) != 2 {
			d.fail("range of %d keys", len(c.pairs))
		}
	case opOmapHead:
		c.data = d.bytes()
	case opHint:
		c.off, c.n = d.uint(), d.uint()
		c.flags = uint32(d.uint())
	case opRename:
		c.dest = CollectionID(d.name())
		c.to = d.name()
	case opClone:
		c.to = d.name()
		c.id = d.uint()
	case opCloneRng:
		c.to = d.name()
		c.id = d.uint()
		c.off, c.n, c.toOff = d.uint(), d.uint(), d.uint()
		if c.toOff > MaxObjectBytes || c.n > MaxObjectBytes || c.toOff+c.n > MaxObjectBytes {
			d.fail("clone to bytes %d+%d beyond the largest object", c.toOff, c.n)
		}
	default:
		d.fail("unknown operation %d", c.code)
	}
	if c.off > MaxObjectBytes || c.n > MaxObjectBytes || c.off+c.n > MaxObjectBytes {
		if c.code != opHint {
			d.fail("bytes %d+%d beyond the largest object", c.off, c.n)
		}
	}
}

func (d *recordDecoder) spec() CollSpec {
	var s CollSpec
	s.Shard = int8(d.byte())
	v, n := binary.Varint(d.p)
	if n <= 0 {
		d.fail("bad number")
		return s
	}
	d.p = d.p[n:]
	s.Pool = v
	s.Bits = d.byte()
	s.Seed = uint32(d.uint())
	if d.err == nil && (s.Bits > 32 || s.Bits < 32 && s.Seed>>s.Bits != 0) {
		d.fail("collection of %d bits, seed %#x", s.Bits, s.Seed)
	}
	return s
}
