package crashdev

import (
	"math/rand/v2"

	"ebofs/devices"
	"ebofs/devices/internal/image"
)

// sectors returns the number of pieces in which w may reach the medium.
func (w *write) sectors(tearBytes int) int {
	first := w.b * devices.BlockSize / uint64(tearBytes)
	last := ((w.b+w.n)*devices.BlockSize - 1) / uint64(tearBytes)
	return int(last - first + 1)
}

// sector is what a torn write left of one sector.
type sector uint8

const (
	oldSector sector = iota
	newSector
	badSector // noise
)

// tear puts w into img as fate f leaves it.
func (w *write) tear(img *image.Image, f fate, tearBytes int, r *rand.Rand) {
	if w.op != devices.OpWrite {
		w.tearRange(img, f)
		return
	}
	left := w.left(f, tearBytes, r)
	first := w.b * devices.BlockSize / uint64(tearBytes)
	step := min(tearBytes, devices.BlockSize)
	for i, p := range w.pages {
		b := w.b + uint64(i)
		at := func(off int) sector { return left[(b*devices.BlockSize+uint64(off))/uint64(tearBytes)-first] }
		whole := at(0)
		for off := step; off < devices.BlockSize; off += step {
			if at(off) != whole {
				whole = badSector
			}
		}
		switch whole {
		case oldSector:
		case newSector:
			img.Put(b, p.data, p.sum)
		default:
			mixed := new(image.Page)
			if old := img.Get(b); old != nil {
				*mixed = *old
			}
			for off := 0; off < devices.BlockSize; off += step {
				switch at(off) {
				case newSector:
					copy(mixed[off:off+step], p.data[off:])
				case badSector:
					image.Noise(b+uint64(off)+r.Uint64(), mixed[off:off+step])
				}
			}
			img.Put(b, mixed, image.Sum(b, mixed))
		}
	}
}

// left decides about each sector of w.
func (w *write) left(f fate, tearBytes int, r *rand.Rand) []sector {
	left := make([]sector, w.sectors(tearBytes))
	half := len(left) / 2
	for i := range left {
		switch f {
		case tornFirst:
			left[i] = fromBool(i < half)
		case tornSecond:
			left[i] = fromBool(i >= half)
		case tornRandom:
			left[i] = sector(r.IntN(2))
		default:
			left[i] = newSector
		}
	}
	if f == tornGarbage {
		left[r.IntN(len(left))] = badSector
	}
	// Mixing all blocks of a large write is slow and shows no more than mixing
	// some: most become wholly old or new.
	const mixed = 16
	if per := devices.BlockSize / tearBytes; f == tornRandom && per > 1 && w.n > mixed {
		for b := 0; b < int(w.n); b++ {
			if r.IntN(int(w.n)) >= mixed {
				for i := b * per; i < (b+1)*per; i++ {
					left[i] = left[b*per]
				}
			}
		}
	}
	return left
}

// tearRange zeroes one half of the blocks of w, in whole blocks.
func (w *write) tearRange(img *image.Image, f fate) {
	half := w.n / 2
	if f == tornFirst {
		img.Zero(w.b, half)
		return
	}
	img.Zero(w.b+half, w.n-half)
}

func fromBool(is bool) sector {
	if is {
		return newSector
	}
	return oldSector
}
