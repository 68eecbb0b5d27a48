package layout

import (
	"fmt"
)

const (
	// ChunkBlocks is how many logical blocks of an object one value of the extents
	// tree maps: 256 KiB. Large enough that a 4 MiB object has 16 values, small
	// enough that changing one block rewrites at most 1.3 KB.
	ChunkBlocks = 64

	// MaxChunkBytes is the size of the longest chunk.
	MaxChunkBytes = chunkHeader + ChunkBlocks*(chunkRun+4)

	chunkHeader  = 8
	chunkRun     = 16
	chunkVersion = 1
)

// Flags of a mapped block.
const (
	BlockShared  uint8 = 1 << 0 // may be mapped more than once: ask the refs tree before freeing
	BlockDamaged uint8 = 1 << 1 // made from a block whose checksum was wrong: reads fail
	BlockZero    uint8 = 1 << 2 // known to hold zeros

	blockFlags = BlockShared | BlockDamaged | BlockZero
)

// Chunk is the decoded value of the extents tree, whose key is the index of the
// chunk in the object. Addr[i] is none for a hole; CRC[i] is that of the 4 KiB
// block. The encoding can be searched without decoding:
//
//	off len field
//	  0   1 type        'C'
//	  1   1 version
//	  2   1 min reader
//	  3   1 reserved, zero
//	  4   1 runs
//	  5   1 mapped      blocks in all runs
//	  6   2 length      of the whole value
//	  8     runs × 16   ascending, without overlap
//	          0   1 first   block in the chunk
//	          1   1 blocks
//	          2   1 flags
//	          3   1 index   of the first block's CRC
//	          4   4 reserved, zero
//	          8   8 address of the first block
//	        mapped × 4  CRC-32C
type Chunk struct {
	Addr  [ChunkBlocks]Addr
	CRC   [ChunkBlocks]uint32
	Flags [ChunkBlocks]uint8
}

// Run is a maximal stretch of blocks in a chunk with consecutive addresses and
// equal flags.
type Run struct {
	First  int // block in the chunk
	Blocks int
	Flags  uint8
	Addr   Addr

	crcs []byte
}

// CRC returns the checksum of block i of the run, 0 ≤ i < Blocks.
func (r *Run) CRC(i int) uint32 { return le.Uint32(r.crcs[4*i:]) }

// Extent returns the blocks on the device.
func (r *Run) Extent() Extent { return Extent{r.Addr, uint64(r.Blocks)} }

// Mapped returns the number of blocks that are no holes.
func (c *Chunk) Mapped() int {
	n := 0
	for _, a := range c.Addr {
		if !a.IsNone() {
			n++
		}
	}
	return n
}

// Append appends the encoding of c to dst; neighbours become one run. A chunk
// without a mapped block encodes too, but its holder should delete it instead.
func (c *Chunk) Append(dst []byte) ([]byte, error) {
	from := len(dst)
	dst = append(dst, 'C', chunkVersion, chunkVersion, 0, 0, 0, 0, 0)
	runs, mapped := 0, 0
	for i := 0; i < ChunkBlocks; {
		a, f := c.Addr[i], c.Flags[i]
		if a.IsNone() {
			if f != 0 || c.CRC[i] != 0 {
				return dst[:from], fmt.Errorf("chunk: hole %d with flags %x or crc %08x: %w", i, f, c.CRC[i], ErrInvalid)
			}
			i++
			continue
		}
		n := 1
		for i+n < ChunkBlocks && c.Addr[i+n] == a+Addr(n) && c.Flags[i+n] == f {
			n++
		}
		if f&^blockFlags != 0 || (Extent{a, uint64(n)}).check() != nil {
			return dst[:from], fmt.Errorf("chunk: blocks %d~%d at %v flags %x: %w", i, n, a, f, ErrInvalid)
		}
		dst = append(dst, uint8(i), uint8(n), f, uint8(mapped), 0, 0, 0, 0)
		dst = le.AppendUint64(dst, uint64(a))
		i, runs, mapped = i+n, runs+1, mapped+n
	}
	for i, a := range c.Addr {
		if !a.IsNone() {
			dst = le.AppendUint32(dst, c.CRC[i])
		}
	}
	dst[from+4], dst[from+5] = uint8(runs), uint8(mapped)
	le.PutUint16(dst[from+6:], uint16(len(dst)-from))
	return dst, nil
}

// openChunk verifies the header of p and the sizes it promises.
func openChunk(p []byte) (runs, mapped int, err error) {
	if len(p) < chunkHeader {
		return 0, 0, truncated("chunk", "value", len(p), chunkHeader)
	}
	if p[0] != 'C' {
		return 0, 0, &Corruption{Kind: "chunk", Field: "type", Got: fmt.Sprint(p[0]), Want: fmt.Sprint('C'), Err: ErrBadMagic}
	}
	if p[2] > chunkVersion {
		return 0, 0, &Corruption{Kind: "chunk", Field: "min reader", Got: fmt.Sprint(p[2]), Want: fmt.Sprintf("≤ %d", chunkVersion), Err: ErrNewer}
	}
	runs, mapped = int(p[4]), int(p[5])
	if mapped > ChunkBlocks || runs > mapped || len(p) < chunkHeader+chunkRun*runs+4*mapped || int(le.Uint16(p[6:])) != len(p) {
		return 0, 0, malformed("chunk", "runs, blocks, bytes", fmt.Sprint(runs, ", ", mapped, ", ", len(p)), nil)
	}
	return runs, mapped, nil
}

// LookupChunk finds block i of the encoded chunk p without decoding it; ok is false
// for a hole. It does not allocate. The whole chunk is validated by DecodeChunk and
// ChunkRuns only; here wrong bytes give an error or a wrong answer, never a panic.
func LookupChunk(p []byte, i int) (addr Addr, crc uint32, flags uint8, ok bool, err error) {
	runs, mapped, err := openChunk(p)
	if err != nil {
		return 0, 0, 0, false, err
	}
	if uint(i) >= ChunkBlocks {
		return 0, 0, 0, false, fmt.Errorf("chunk: block %d: %w", i, ErrInvalid)
	}
	lo, hi := 0, runs // the last run that starts at or before i is lo-1
	for lo < hi {
		m := (lo + hi) / 2
		if int(p[chunkHeader+chunkRun*m]) <= i {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return 0, 0, 0, false, nil
	}
	r := p[chunkHeader+chunkRun*(lo-1):]
	d := i - int(r[0])
	if d >= int(r[1]) {
		return 0, 0, 0, false, nil
	}
	ci := int(r[3]) + d
	if ci >= mapped {
		return 0, 0, 0, false, malformed("chunk", "crc index", ci, fmt.Sprintf("< %d", mapped))
	}
	return Addr(le.Uint64(r[8:])) + Addr(d), le.Uint32(p[chunkHeader+chunkRun*runs+4*ci:]), r[2], true, nil
}

// ChunkRuns calls fn for every run of the encoded chunk p, ascending, until fn
// returns false. It validates p as it goes: everything fn sees is sound.
func ChunkRuns(p []byte, fn func(r *Run) bool) error {
	runs, mapped, err := openChunk(p)
	if err != nil {
		return err
	}
	end, ci := 0, 0
	crcs := p[chunkHeader+chunkRun*runs:]
	var r Run
	for i := range runs {
		q := p[chunkHeader+chunkRun*i:]
		r = Run{First: int(q[0]), Blocks: int(q[1]), Flags: q[2], Addr: Addr(le.Uint64(q[8:]))}
		if r.First < end || r.Blocks == 0 || r.First+r.Blocks > ChunkBlocks || int(q[3]) != ci || ci+r.Blocks > mapped ||
			r.Flags&^blockFlags != 0 || !r.Extent().sound() {
			return malformed("chunk", fmt.Sprintf("run %d", i), fmt.Sprintf("%d~%d at %v flags %x crc %d", r.First, r.Blocks, r.Addr, r.Flags, q[3]), fmt.Sprintf("from %d, crc %d of %d", end, ci, mapped))
		}
		r.crcs = crcs[4*ci : 4*(ci+r.Blocks)]
		end, ci = r.First+r.Blocks, ci+r.Blocks
		if !fn(&r) {
			return nil
		}
	}
	if ci != mapped {
		return malformed("chunk", "mapped", mapped, ci)
	}
	return nil
}

// CheckChunk validates the encoded chunk p as ChunkRuns does and returns the flags
// that all its runs have and the first block behind the last of them, 0 if it has none.
func CheckChunk(p []byte) (common uint8, end int, err error) {
	runs, mapped, err := openChunk(p)
	if err != nil {
		return 0, 0, err
	}
	ci := 0
	common = blockFlags
	for i := range runs {
		q := p[chunkHeader+chunkRun*i:][:chunkRun]
		first, n := int(q[0]), int(q[1])
		if first < end || n == 0 || first+n > ChunkBlocks || int(q[3]) != ci || ci+n > mapped ||
			q[2]&^blockFlags != 0 || !(Extent{Addr(le.Uint64(q[8:])), uint64(n)}).sound() {
			return 0, 0, ChunkRuns(p, func(*Run) bool { return true })
		}
		common &= q[2]
		end, ci = first+n, ci+n
	}
	if ci != mapped {
		return 0, 0, malformed("chunk", "mapped", mapped, ci)
	}
	return common, end, nil
}

// DecodeChunk decodes p into c, which it overwrites even if it fails.
func DecodeChunk(p []byte, c *Chunk) error {
	*c = Chunk{}
	return ChunkRuns(p, func(r *Run) bool {
		for i := range r.Blocks {
			c.Addr[r.First+i] = r.Addr + Addr(i)
			c.CRC[r.First+i] = r.CRC(i)
			c.Flags[r.First+i] = r.Flags
		}
		return true
	})
}
