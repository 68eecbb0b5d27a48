package rbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// readMap reads the whole object map; ENOENT if it is empty, EINVAL if it is
// damaged: its client then makes a new one.
func readMap(c cls.Context) (v bitVector, err error) {
	p, err := c.Read(0, 0)
	switch {
	case err != nil:
		return v, err
	case len(p) == 0:
		return v, ceph.ENOENT
	}
	d := denc.NewDecoder(p)
	if v = decodeBitVector(d); d.Err() != nil {
		return v, ceph.EINVAL
	}
	v.data = slices.Clone(v.data)
	return v, nil
}

func loadMap(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	v, err := readMap(c)
	if err != nil {
		return err
	}
	v.encode(out, false)
	return nil
}

func saveMap(c cls.Context, v bitVector) error {
	var e denc.Encoder
	v.encode(&e, true)
	return c.WriteFull(e.Bytes())
}

// resized is how many objects an image has, and what new ones are.
type resized struct {
	count uint64
	state uint8
}

func decodeResize(d *denc.Decoder) resized { return resized{d.U64(), d.U8()} }

// resizeMap changes the number of objects; one that is dropped has to have the
// state of new ones, else it is still there: ESTALE.
func resizeMap(c cls.Context, r resized) error {
	if r.count > maxObjects || r.state > objectClean {
		return ceph.EINVAL
	}
	v, err := readMap(c)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return err
	}
	for i := r.count; i < v.count; i++ {
		if v.get(i) != r.state {
			return ceph.ESTALE
		}
	}
	v.resize(r.count, r.state)
	return saveMap(c, v)
}

// update is a new state for the objects [first, last), or for those of them that
// have a certain state.
type update struct {
	first, last uint64
	state       uint8
	only        *uint8
}

func decodeUpdate(d *denc.Decoder) update {
	u := update{first: d.U64(), last: d.U64(), state: d.U8()}
	if d.U8() != 0 {
		only := d.U8()
		u.only = &only
	}
	return u
}

// applies reports whether an object of a state is changed: one that exists, too,
// if it exists clean.
func (u update) applies(state uint8) bool {
	return state != u.state && (u.only == nil || state == *u.only || *u.only == objectExists && state == objectClean)
}

// updateMap reads and writes only the blocks it changes and their CRCs: it is
// part of the first write to every object of an image.
func updateMap(c cls.Context, u update) error {
	head, err := c.Read(0, headBytes)
	if err != nil {
		return err
	}
	d := denc.NewDecoder(head)
	count, headCRC := decodeHead(d)
	switch {
	case d.Err() != nil || len(head) != headBytes || u.state > objectClean:
		return ceph.EINVAL
	case u.first >= u.last, u.last > count:
		return ceph.ERANGE
	}
	const perBlock = blockBytes * perByte
	firstBlock, lastBlock := u.first/perBlock, (u.last+perBlock-1)/perBlock
	dataBytes := bytesFor(count)
	lo, hi := firstBlock*blockBytes, min(lastBlock*blockBytes, dataBytes)
	footAt, crcsAt := headBytes+dataBytes, 12+4*firstBlock // the latter within the footer
	data, err := c.Read(headBytes+lo, hi-lo)
	if err != nil {
		return err
	}
	foot, err := c.Read(footAt, 12+4*lastBlock)
	if err != nil {
		return err
	}
	if uint64(len(foot)) != 12+4*lastBlock || binary.LittleEndian.Uint32(foot[4:]) != headCRC ||
		!bytes.Equal(packCRCs(blockCRCs(data)), foot[crcsAt:]) {
		return ceph.EINVAL
	}
	part := bitVector{data: data}
	base := firstBlock * perBlock
	changed := false
	for i := u.first; i < u.last; i++ {
		if u.applies(part.get(i - base)) {
			part.set(i-base, u.state)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	if err := c.Write(headBytes+lo, data); err != nil {
		return err
	}
	return c.Write(footAt+crcsAt, packCRCs(blockCRCs(data)))
}

func packCRCs(crcs []uint32) []byte {
	p := make([]byte, 0, 4*len(crcs))
	for _, crc := range crcs {
		p = binary.LittleEndian.AppendUint32(p, crc)
	}
	return p
}

// addSnapshotToMap makes what exists clean: a snapshot has been taken of it.
func addSnapshotToMap(c cls.Context, _ cls.Nothing) error {
	v, err := readMap(c)
	if err != nil {
		return err
	}
	changed := false
	for i := range v.count {
		if v.get(i) == objectExists {
			v.set(i, objectClean)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return saveMap(c, v)
}

// removeSnapshotFromMap takes the map of a snapshot out of the one that follows
// it: what had been changed when that snapshot was taken has now been changed
// since the one before.
func removeSnapshotFromMap(c cls.Context, gone bitVector) error {
	v, err := readMap(c)
	if err != nil {
		return err
	}
	changed := false
	for i := range v.count {
		if v.get(i) == objectClean && (i >= gone.count || gone.get(i) == objectExists) {
			v.set(i, objectExists)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return saveMap(c, v)
}
