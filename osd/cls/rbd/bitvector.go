package rbd

import "ebofs/cluster/denc"

// bitVector is a number of two bits for each object of an image, in the order of
// objects: the first in the highest bits of the first byte.
//
//	off len field       little-endian, as load, save and the object have it
//	  0   4 14          length of the header
//	  4   6 v1 struct
//	 10   8 count       of objects
//	 18     data        four objects a byte
//	      4 length      of the footer; 0: there is none
//	      4 crc         of the header, [4:18)
//	      4 blocks
//	      4 crc …       of each 4096 bytes of data; CRC-32C from 0
type bitVector struct {
	count uint64
	data  []byte
}

const (
	perByte    = 4    // objects
	blockBytes = 4096 // of data that one CRC is of
	headBytes  = 18

	// maxObjects bounds what a client may ask for: as Ceph does, 64 MB of data.
	maxObjects = 256_000_000
)

// States of an object.
const (
	objectMissing = 0
	objectExists  = 1
	objectPending = 2 // perhaps removed
	objectClean   = 3 // there, not changed since the last snapshot
)

func bytesFor(count uint64) uint64 { return (count + perByte - 1) / perByte }

func (v bitVector) get(i uint64) uint8 { return v.data[i/perByte] >> shift(i) & 3 }

func (v bitVector) set(i uint64, state uint8) {
	b := &v.data[i/perByte]
	*b = *b&^(3<<shift(i)) | state<<shift(i)
}

func shift(i uint64) uint64 { return (perByte - 1 - i%perByte) * 2 }

// resize changes the number of objects; new ones get a state.
func (v *bitVector) resize(count uint64, state uint8) {
	old := v.count
	data := make([]byte, bytesFor(count))
	n := copy(data, v.data)
	for i := n; i < len(data); i++ {
		data[i] = state * 0b01010101
	}
	v.count, v.data = count, data
	for i := old; i < min(count, uint64(n)*perByte); i++ {
		v.set(i, state)
	}
	for i := count; i < uint64(len(data))*perByte; i++ {
		v.set(i, 0)
	}
}

func encodeHead(count uint64) []byte {
	e := denc.NewEncoder(make([]byte, 0, headBytes))
	b := e.Open()
	m := e.Begin(1, 1)
	e.U64(count)
	e.End(m)
	e.End(b)
	return e.Bytes()
}

// encode appends v, with a footer if crcs is set.
func (v bitVector) encode(e *denc.Encoder, crcs bool) {
	head := encodeHead(v.count)
	e.Raw(head)
	e.Raw(v.data)
	m := e.Open()
	if crcs {
		e.U32(denc.CRC(0, head[4:]))
		denc.PutSlice(e, blockCRCs(v.data), (*denc.Encoder).U32)
	}
	e.End(m)
}

// blockCRCs returns the CRC of each block of data, which begins at one.
func blockCRCs(data []byte) (crcs []uint32) {
	for len(data) > 0 {
		n := min(len(data), blockBytes)
		crcs = append(crcs, denc.CRC(0, data[:n]))
		data = data[n:]
	}
	return crcs
}

// decodeHead reads the header: how many objects there are, and its CRC.
func decodeHead(d *denc.Decoder) (count uint64, crc uint32) {
	p := d.Bytes()
	h := denc.NewDecoder(p)
	s := h.Begin(1)
	count = h.U64()
	h.End(s)
	if h.Err() != nil || count > maxObjects {
		d.Failf("header of a bit vector of %d", count)
		return 0, 0
	}
	return count, denc.CRC(0, p)
}

// decodeBitVector reads a vector and compares it with its footer, if it has one.
func decodeBitVector(d *denc.Decoder) (v bitVector) {
	var crc uint32
	v.count, crc = decodeHead(d)
	v.data = d.Raw(int(bytesFor(v.count)))
	foot := d.Bytes()
	if d.Err() != nil {
		return bitVector{}
	}
	if len(foot) == 0 {
		return v
	}
	f := denc.NewDecoder(foot)
	head := f.U32()
	crcs := denc.Slice(f, 4, (*denc.Decoder).U32)
	if f.Err() != nil || head != crc {
		d.Failf("footer of a bit vector")
	}
	got := blockCRCs(v.data)
	for i := range got {
		if i >= len(crcs) || crcs[i] != got[i] {
			d.Failf("crc of block %d of a bit vector", i)
			break
		}
	}
	return v
}
