package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// BlockSize is the unit of every address and length, in bytes.
const BlockSize = 4096

const (
	addrBlockBits = 56
	// MaxBlock is the highest block number an Addr can name.
	MaxBlock = 1<<addrBlockBits - 1
	// MaxDevices is how many devices a store may have; Addr has room for 256.
	MaxDevices = 16
)

// Addr names one block of a store: the device index in the top 8 bits, the
// block number on it in the low 56. The zero Addr is none: block 0 of device 0
// is the label, which no pointer ever names.
type Addr uint64

// MakeAddr returns the address of a block of device dev. Bits of block above
// the low 56 are dropped.
func MakeAddr(dev uint8, block uint64) Addr {
	return Addr(dev)<<addrBlockBits | Addr(block&MaxBlock)
}

// Device returns the index of the device in the store's device table.
func (a Addr) Device() uint8 { return uint8(a >> addrBlockBits) }

// Block returns the block number on the device.
func (a Addr) Block() uint64 { return uint64(a) & MaxBlock }

// IsNone reports whether a names no block.
func (a Addr) IsNone() bool { return a == 0 }

// String returns "device:block", for example "0:1204480"; "none" for the zero
// Addr. ParseAddr reads it back.
func (a Addr) String() string {
	if a == 0 {
		return "none"
	}
	return strconv.Itoa(int(a.Device())) + ":" + strconv.FormatUint(a.Block(), 10)
}

// ParseAddr reads "device:block", "block" (device 0) or "none".
func ParseAddr(s string) (Addr, error) {
	if s == "none" {
		return 0, nil
	}
	dev, block, ok := strings.Cut(s, ":")
	if !ok {
		dev, block = "0", s
	}
	d, err := strconv.ParseUint(dev, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("address %q: device: %w", s, ErrInvalid)
	}
	b, err := strconv.ParseUint(block, 10, 64)
	if err != nil || b > MaxBlock {
		return 0, fmt.Errorf("address %q: block: %w", s, ErrInvalid)
	}
	return MakeAddr(uint8(d), b), nil
}

// Extent is a run of blocks on one device.
type Extent struct {
	Addr   Addr
	Blocks uint64
}

// End returns the address just behind the extent.
func (e Extent) End() Addr { return e.Addr + Addr(e.Blocks) }

// Contains reports whether a lies in e.
func (e Extent) Contains(a Addr) bool { return a >= e.Addr && uint64(a-e.Addr) < e.Blocks }

// Overlaps reports whether e and o share a block.
func (e Extent) Overlaps(o Extent) bool {
	return e.Blocks > 0 && o.Blocks > 0 && e.Addr < o.End() && o.Addr < e.End()
}

// String returns "device:start~length", in blocks.
func (e Extent) String() string {
	return e.Addr.String() + "~" + strconv.FormatUint(e.Blocks, 10)
}

// sound is false for an extent that is empty, starts nowhere or leaves its device's
// address space.
func (e Extent) sound() bool {
	return !e.Addr.IsNone() && e.Blocks != 0 && e.Blocks <= MaxBlock && e.Addr.Block()+e.Blocks-1 <= MaxBlock
}

// check is sound as an error.
func (e Extent) check() error {
	if !e.sound() {
		return fmt.Errorf("extent %v: %w", e, ErrInvalid)
	}
	return nil
}
