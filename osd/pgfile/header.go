package pgfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// What is wrong with a file.
var (
	ErrNoFile  = errors.New("not an exported placement group")
	ErrCorrupt = errors.New("damaged")
	ErrNewer   = errors.New("written by a newer program")
)

// Header begins a file.
//
//	off len field       little-endian; golden: docs/format/pgfile.md
//	  0   8 magic       "EBOFSpg\n"
//	  8   4 crc         CRC-32C of [12:72)
//	 12   1 version     1
//	 13   1 min reader  lowest version of a program that may read it
//	 14   1 bits        how many low bits of the hash the PG fixes
//	 15   1 zero
//	 16  16 cluster
//	 32  16 osd id      uuid of the OSD it comes from
//	 48   8 pool
//	 56   4 seed        the value of those bits
//	 60   4 osd         number of that OSD
//	 64   8 made        Unix time in nanoseconds
type Header struct {
	Cluster ceph.UUID
	OSDID   ceph.UUID
	OSD     int32
	PG      ceph.PG
	Bits    uint8
	Made    time.Time
}

const (
	magic       = "EBOFSpg\n"
	version     = 1
	headerBytes = 72
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func crc(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// spec is the range of hashes the PG holds.
func (h *Header) spec() osd.CollectionSpec {
	return osd.CollectionSpec{Shard: ceph.NoShard, Pool: int64(h.PG.Pool), Bits: h.Bits, Seed: h.PG.Seed}
}

func (h *Header) encode() []byte {
	p := make([]byte, headerBytes)
	copy(p, magic)
	p[12], p[13], p[14] = version, version, h.Bits
	copy(p[16:], h.Cluster[:])
	copy(p[32:], h.OSDID[:])
	le.PutUint64(p[48:], uint64(h.PG.Pool))
	le.PutUint32(p[56:], h.PG.Seed)
	le.PutUint32(p[60:], uint32(h.OSD))
	le.PutUint64(p[64:], uint64(h.Made.UnixNano()))
	le.PutUint32(p[8:], crc(p[12:]))
	return p
}

// decodeHeader reads the headerBytes of p.
func decodeHeader(p []byte) (Header, error) {
	switch got, want := crc(p[12:headerBytes]), le.Uint32(p[8:]); {
	case string(p[:8]) != magic:
		return Header{}, ErrNoFile
	case got != want:
		return Header{}, fmt.Errorf("header: crc %08x, want %08x: %w", got, want, ErrCorrupt)
	case p[13] > version:
		return Header{}, fmt.Errorf("version %d, this program reads %d: %w", p[13], version, ErrNewer)
	}
	h := Header{
		Cluster: ceph.UUID(p[16:32]), OSDID: ceph.UUID(p[32:48]), OSD: int32(le.Uint32(p[60:])), Bits: p[14],
		PG:   ceph.PG{Pool: ceph.PoolID(le.Uint64(p[48:])), Seed: le.Uint32(p[56:])},
		Made: time.Unix(0, int64(le.Uint64(p[64:]))),
	}
	if !h.spec().Valid() || h.PG.Pool < 0 {
		return h, fmt.Errorf("header: pg %v of %d bits: %w", h.PG, h.Bits, ErrCorrupt)
	}
	return h, nil
}
