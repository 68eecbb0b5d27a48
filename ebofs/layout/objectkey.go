package layout

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
)

const (
	// MaxKeyBytes bounds the encoded key.
	MaxKeyBytes = 4000
	// MaxNameBytes bounds an object's name and its locator key: what an OSD of Ceph
	// takes. Both at once at that length do not fit into a key.
	MaxNameBytes = 2048
	// MaxNamespaceBytes bounds a namespace.
	MaxNamespaceBytes = 256

	// NoShard is the shard of objects in replicated pools and of plain objects.
	NoShard int8 = -1
	// NoSnap is the snapshot id of the head of an object.
	NoSnap uint64 = 1<<64 - 2
	// SnapDir is the snapshot id of an object's snapshot directory.
	SnapDir uint64 = 1<<64 - 1
	// NoGeneration is the generation of an object that is not versioned.
	NoGeneration uint64 = 1<<64 - 1

	keyFixed = 1 + 8 + 4 // shard, pool, hash
	keyTail  = 8 + 8     // snap, generation
	minKey   = keyFixed + 3*2 + keyTail
)

// ObjectKey names an object. Its encoding sorts, byte by byte, in the order in
// which objects are listed: shard, pool, bit-reversed hash, namespace, key, name,
// snap, generation. Reversing the hash turns "the low bits are these" into a
// range, so that a collection is one range of keys and a split is free.
//
//	len field
//	  1 shard + 128
//	  8 pool with the sign bit inverted, big-endian
//	  4 hash with its bits reversed, big-endian
//	    namespace, key, name: each with 00 → 00 FF, ended by 00 00
//	  8 snap, big-endian
//	  8 generation, big-endian
type ObjectKey struct {
	Shard                int8
	Pool                 int64
	Hash                 uint32
	Namespace, Key, Name string
	Snap, Generation     uint64
}

// HashName returns the hash of an object that is placed by nobody else: the
// CRC-32C of namespace, 0x1f and locator key, or name if there is no key. Callers
// with a placement of their own set ObjectKey.Hash themselves.
func HashName(namespace, key, name string) uint32 {
	if key == "" {
		key = name
	}
	h := uint32(0)
	if namespace != "" {
		h = crc32.Update(h, castagnoli, []byte(namespace))
		h = crc32.Update(h, castagnoli, []byte{0x1f})
	}
	return crc32.Update(h, castagnoli, []byte(key))
}

// escapedLen is the encoded size of a string.
func escapedLen(s string) int {
	n := len(s) + 2
	for i := range len(s) {
		if s[i] == 0 {
			n++
		}
	}
	return n
}

// KeyLen returns the size of the encoding in bytes.
func (o *ObjectKey) KeyLen() int {
	return keyFixed + escapedLen(o.Namespace) + escapedLen(o.Key) + escapedLen(o.Name) + keyTail
}

// Check returns ErrTooLong, naming the part, if o cannot be stored.
func (o *ObjectKey) Check() error {
	switch {
	case len(o.Name) > MaxNameBytes:
		return fmt.Errorf("object name of %d bytes, at most %d: %w", len(o.Name), MaxNameBytes, ErrTooLong)
	case len(o.Key) > MaxNameBytes:
		return fmt.Errorf("locator key of %d bytes, at most %d: %w", len(o.Key), MaxNameBytes, ErrTooLong)
	case len(o.Namespace) > MaxNamespaceBytes:
		return fmt.Errorf("namespace of %d bytes, at most %d: %w", len(o.Namespace), MaxNamespaceBytes, ErrTooLong)
	}
	if n := o.KeyLen(); n > MaxKeyBytes {
		return fmt.Errorf("object key of %d bytes, at most %d: %w", n, MaxKeyBytes, ErrTooLong)
	}
	return nil
}

// appendRangeKey appends shard, pool and reversed hash: what collections are
// ranges of.
func appendRangeKey(dst []byte, shard int8, pool int64, reversed uint32) []byte {
	dst = append(dst, uint8(int(shard)+128))
	dst = binary.BigEndian.AppendUint64(dst, uint64(pool)^1<<63)
	return binary.BigEndian.AppendUint32(dst, reversed)
}

// AppendKey appends the encoding of o to dst. It does not check lengths; see Check.
func (o *ObjectKey) AppendKey(dst []byte) []byte {
	dst = appendRangeKey(dst, o.Shard, o.Pool, bits.Reverse32(o.Hash))
	dst = appendEscaped(dst, o.Namespace)
	dst = appendEscaped(dst, o.Key)
	dst = appendEscaped(dst, o.Name)
	dst = binary.BigEndian.AppendUint64(dst, o.Snap)
	return binary.BigEndian.AppendUint64(dst, o.Generation)
}

func appendEscaped(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 0)
}

// DecodeObjectKey reads back what AppendKey wrote. The strings are copies.
func DecodeObjectKey(p []byte) (ObjectKey, error) {
	const kind = "object key"
	var o ObjectKey
	if len(p) < minKey || len(p) > MaxKeyBytes {
		return o, malformed(kind, "bytes", len(p), fmt.Sprintf("%d..%d", minKey, MaxKeyBytes))
	}
	o.Shard = int8(int(p[0]) - 128)
	o.Pool = int64(binary.BigEndian.Uint64(p[1:]) ^ 1<<63)
	o.Hash = bits.Reverse32(binary.BigEndian.Uint32(p[9:]))
	rest := p[keyFixed:]
	var err error
	for _, f := range [...]struct {
		name string
		s    *string
		max  int
	}{{"namespace", &o.Namespace, MaxNamespaceBytes}, {"key", &o.Key, MaxNameBytes}, {"name", &o.Name, MaxNameBytes}} {
		if *f.s, rest, err = decodeEscaped(rest, f.max); err != nil {
			return ObjectKey{}, malformed(kind, f.name, err, nil)
		}
	}
	if len(rest) != keyTail {
		return ObjectKey{}, malformed(kind, "bytes of snap and generation", len(rest), keyTail)
	}
	o.Snap, o.Generation = binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])
	return o, nil
}

// decodeEscaped splits an escaped string off p.
func decodeEscaped(p []byte, max int) (s string, rest []byte, err error) {
	i := bytes.IndexByte(p, 0)
	if i >= 0 && i+1 < len(p) && p[i+1] == 0 { // nothing escaped: the usual case
		if i > max {
			return "", nil, fmt.Errorf("%d bytes, at most %d", i, max)
		}
		return string(p[:i]), p[i+2:], nil
	}
	var b []byte
	for i := 0; i < len(p); i++ {
		if p[i] != 0 {
			b = append(b, p[i])
			continue
		}
		if i+1 == len(p) {
			break
		}
		switch p[i+1] {
		case 0:
			if len(b) > max {
				return "", nil, fmt.Errorf("%d bytes, at most %d", len(b), max)
			}
			return string(b), p[i+2:], nil
		case 0xff:
			b = append(b, 0)
			i++
		default:
			return "", nil, fmt.Errorf("bad escape 00 %02x", p[i+1])
		}
	}
	return "", nil, fmt.Errorf("no end")
}

// Compare orders keys as their encodings sort: -1, 0 or +1.
func (o *ObjectKey) Compare(p *ObjectKey) int {
	for _, d := range [...]int{
		cmp(o.Shard, p.Shard), cmp(o.Pool, p.Pool), cmp(bits.Reverse32(o.Hash), bits.Reverse32(p.Hash)),
		cmp(o.Namespace, p.Namespace), cmp(o.Key, p.Key), cmp(o.Name, p.Name), cmp(o.Snap, p.Snap), cmp(o.Generation, p.Generation),
	} {
		if d != 0 {
			return d
		}
	}
	return 0
}

func cmp[T int8 | int64 | uint32 | uint64 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
