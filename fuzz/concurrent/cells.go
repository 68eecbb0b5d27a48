package concurrent

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	// cellBytes is no divisor of a block, so that cells share blocks and sectors.
	cellBytes = 1000
	// maxCells makes an object as large as needed for writes past the log.
	maxCells = 140
)

// object is the state of an object in the model. It is never changed.
type object struct {
	cells       []uint32 // version of each; 0: zeros
	attrs, omap map[string]uint32
}

// fill writes n cells of a version: every word names it, and its place within the
// cell.
func fill(version uint32, n int) []byte {
	p := make([]byte, n*cellBytes)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], word(version, i%cellBytes))
	}
	return p
}

func word(version uint32, at int) uint64 {
	if version == 0 {
		return 0
	}
	return uint64(version)<<32 | uint64(at)
}

// parse returns the versions of the cells of p, or an error if one of them is
// not the work of one write.
func parse(p []byte) ([]uint32, error) {
	if len(p)%cellBytes != 0 {
		return nil, fmt.Errorf("%d bytes, not a whole number of cells", len(p))
	}
	cells := make([]uint32, len(p)/cellBytes)
	for c := range cells {
		cell := p[c*cellBytes:][:cellBytes]
		v := uint32(binary.LittleEndian.Uint64(cell) >> 32)
		for i := 0; i < cellBytes; i += 8 {
			if got := binary.LittleEndian.Uint64(cell[i:]); got != word(v, i) {
				return nil, fmt.Errorf("cell %d is of version %d and holds %#x at byte %d", c, v, got, i)
			}
		}
		cells[c] = v
	}
	return cells, nil
}

// value is what a version of an attr or omap value looks like: short or long.
func value(version uint32) []byte {
	p := binary.LittleEndian.AppendUint32(nil, version)
	for len(p) < 20+int(version%7)*150 {
		p = append(p, byte(version))
	}
	return p
}

// versions returns which versions the values are.
func versions(m map[string][]byte) (map[string]uint32, error) {
	out := make(map[string]uint32, len(m))
	for k, p := range m {
		v := uint32(0)
		if len(p) >= 4 {
			v = binary.LittleEndian.Uint32(p)
		}
		if !slices.Equal(p, value(v)) {
			return nil, fmt.Errorf("value of %s, %d bytes, is none that was written", k, len(p))
		}
		out[k] = v
	}
	return out, nil
}
