package main

import (
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// summed is raw that looks at what it reads, as a store that verifies has to: the sum
// of each block is computed, and compared with nothing.
type summed struct{ *raw }

func openSummed(o setup) (backend, error) {
	s, err := openRaw(o)
	if err != nil {
		return nil, err
	}
	return summed{s.(*raw)}, nil
}

func (s summed) get(i uint64, p []byte) error {
	err := s.raw.get(i, p)
	sumBlocks(p)
	return err
}

func (s summed) scan(fn func([]byte) bool) error {
	return s.raw.scan(func(p []byte) bool {
		sumBlocks(p)
		return fn(p)
	})
}

// sumBlocks computes the checksum of each block of p, the way the engine does.
func sumBlocks(p []byte) {
	for ; len(p) > 0; p = p[devices.BlockSize:] {
		layout.ColdCRC(p[:devices.BlockSize])
	}
}
