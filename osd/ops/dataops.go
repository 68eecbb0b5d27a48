package ops

import (
	"encoding/binary"
	"math"

	"github.com/OneOfOne/xxhash"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

var le = binary.LittleEndian

// window returns the range an operation reads: cut at the object's size, and at
// what a file system has truncated it to without telling this object yet.
func (r *run) window(in *msg.Op) (off, n uint64) {
	x := in.Extent()
	size := r.v.state.Size
	if x.TruncateSeq > r.v.state.TruncateSeq && !noTruncate(x) {
		size = min(size, x.TruncateSize)
	}
	if x.Offset >= size {
		return x.Offset, 0
	}
	if x.Length == 0 {
		return x.Offset, size - x.Offset
	}
	return x.Offset, min(x.Length, size-x.Offset)
}

// noTruncate reports whether an extent brings no truncation, in either way in
// which clients say so.
func noTruncate(x msg.Extent) bool {
	return x.TruncateSeq == 0 || x.TruncateSeq == 1 && x.TruncateSize == math.MaxUint64
}

func opRead(r *run, in, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	off, n := r.window(in)
	p, err := r.v.read(off, n)
	if err != nil {
		return 0, err
	}
	out.Data = p
	x := in.Extent()
	x.Length = uint64(len(p))
	out.SetExtent(x)
	r.out.Stats.ReadOps++
	r.out.Stats.ReadBytes += int64(len(p))
	return 0, nil
}

// opSparseRead returns where there is data within a range, and the data.
func opSparseRead(r *run, in, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	if x := in.Extent(); !noTruncate(x) {
		return 0, ceph.EINVAL
	}
	off, n := r.window(in)
	list, err := r.v.extents(off, n)
	if err != nil {
		return 0, err
	}
	var e denc.Encoder
	denc.PutSlice(&e, list, putExtent)
	m := e.Open()
	begin := e.Len()
	for _, x := range list {
		p, err := r.v.read(x.Off, x.Len)
		if err != nil {
			return 0, err
		}
		e.Raw(p)
	}
	e.End(m)
	out.Data = e.Bytes()
	x := in.Extent()
	x.Length = uint64(e.Len() - begin) // of data alone
	out.SetExtent(x)
	r.out.Stats.ReadOps++
	r.out.Stats.ReadBytes += int64(x.Length)
	return 0, nil
}

func opMapExt(r *run, in, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	off, n := r.window(in)
	list, err := r.v.extents(off, n)
	if err != nil {
		return 0, err
	}
	var e denc.Encoder
	denc.PutSlice(&e, list, putExtent)
	out.Data = e.Bytes()
	return 0, nil
}

func opStat(r *run, _, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	var e denc.Encoder
	e.U64(r.v.state.Size)
	r.v.state.MTime.Encode(&e)
	out.Data = e.Bytes()
	return 0, nil
}

// Kinds of checksums a client may ask for.
const (
	sumXX32 = iota
	sumXX64
	sumCRC32C
)

func opChecksum(r *run, in, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	c := in.Checksum()
	width := 4
	if c.Type == sumXX64 {
		width = 8
	}
	if c.Type > sumCRC32C || len(in.Data) < width {
		return 0, ceph.EINVAL
	}
	if c.Offset == 0 && c.Length == 0 {
		c.Length = r.v.state.Size
	}
	if c.Chunk != 0 && c.Length%uint64(c.Chunk) != 0 {
		return 0, ceph.EINVAL
	}
	p, err := r.v.read(c.Offset, c.Length)
	if err != nil {
		return 0, err
	}
	chunk := int(c.Chunk)
	if chunk == 0 {
		chunk = len(p)
	}
	var e denc.Encoder
	count := e.Open()
	sums := 0
	for len(p) > 0 && chunk > 0 {
		n := min(chunk, len(p))
		switch c.Type {
		case sumXX32:
			e.U32(xxhash.Checksum32S(p[:n], le.Uint32(in.Data)))
		case sumXX64:
			e.U64(xxhash.Checksum64S(p[:n], le.Uint64(in.Data)))
		case sumCRC32C:
			e.U32(denc.CRC(le.Uint32(in.Data), p[:n]))
		}
		p = p[n:]
		sums++
	}
	le.PutUint32(e.Bytes()[count:], uint32(sums))
	out.Data = e.Bytes()
	return 0, nil
}

// opCmpExt compares a range with what the client expects; what is missing is
// zeros.
func opCmpExt(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	x := in.Extent()
	if x.Length != uint64(len(in.Data)) {
		return 0, ceph.EINVAL
	}
	var have []byte
	if r.v.exists {
		var err error
		if have, err = r.v.read(x.Offset, x.Length); err != nil {
			return 0, err
		}
	}
	for i, want := range in.Data {
		got := byte(0)
		if i < len(have) {
			got = have[i]
		}
		if got != want {
			return 0, ceph.Mismatch(uint64(i))
		}
	}
	return 0, nil
}

func opIsDirty(r *run, _, out *msg.Op) (ceph.Errno, error) {
	out.Data = []byte{1}
	return 0, r.v.must()
}

func opAssertVersion(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	have := uint64(0)
	if r.v.exists {
		have = r.v.state.UserVersion
	}
	switch want := in.AssertVersion(); {
	case want == 0:
		return 0, ceph.EINVAL
	case want < have:
		return 0, ceph.ERANGE
	case want > have:
		return 0, ceph.EOVERFLOW
	}
	return 0, nil
}

// catchUp does a truncation that a file system decided on and this object has
// not seen; ok is false if the write itself is older than one it has seen.
func (r *run) catchUp(x msg.Extent) error {
	v := r.v
	if noTruncate(x) || x.TruncateSeq <= v.state.TruncateSeq {
		return nil
	}
	if v.exists && x.TruncateSize < v.state.Size {
		if err := v.truncate(x.TruncateSize); err != nil {
			return err
		}
	}
	v.state.TruncateSeq, v.state.TruncateLen = x.TruncateSeq, x.TruncateSize
	return nil
}

func opWrite(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	x := in.Extent()
	if x.Length != uint64(len(in.Data)) {
		return 0, ceph.EINVAL
	}
	p := in.Data
	if x.TruncateSeq < r.v.state.TruncateSeq && !noTruncate(x) && r.v.exists {
		// Older than a truncation: what lies behind it is gone again already.
		if x.Offset >= r.v.state.Size {
			p = nil
		} else {
			p = p[:min(uint64(len(p)), r.v.state.Size-x.Offset)]
		}
		if len(p) == 0 {
			return 0, nil
		}
	}
	if r.tooFar(x.Offset, x.Length) {
		return 0, ceph.EFBIG
	}
	if err := r.catchUp(x); err != nil {
		return 0, err
	}
	r.wrote(p)
	return 0, r.v.write(x.Offset, p)
}

// tooFar reports whether a range begins or ends behind what an object may hold. One
// that begins at the bound is too far even if it is empty.
func (r *run) tooFar(off, n uint64) bool {
	most := r.env.maxObject()
	return off >= most || n > most-off
}

func (r *run) wrote(p []byte) {
	r.out.Stats.WriteOps++
	r.out.Stats.WriteBytes += int64(len(p))
}

func opWriteFull(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	if x := in.Extent(); x.Length != uint64(len(in.Data)) {
		return 0, ceph.EINVAL
	}
	r.wrote(in.Data)
	return 0, r.v.writeFull(in.Data)
}

func opAppend(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	if x := in.Extent(); x.Length != uint64(len(in.Data)) {
		return 0, ceph.EINVAL
	}
	r.wrote(in.Data)
	return 0, r.v.write(r.v.state.Size, in.Data)
}

func opWriteSame(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	off, n, pattern := in.WriteSame()
	if pattern == 0 || n%pattern != 0 || uint64(len(in.Data)) != pattern || n > r.env.maxObject() {
		return 0, ceph.EINVAL
	}
	if r.idle = n == 0; r.idle {
		return 0, nil
	}
	p := make([]byte, n)
	for i := uint64(0); i < n; i += pattern {
		copy(p[i:], in.Data)
	}
	r.wrote(p)
	return 0, r.v.write(off, p)
}

func opTruncate(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	x := in.Extent()
	if r.idle = !r.v.exists; r.idle {
		return 0, nil
	}
	if r.tooFar(x.Offset, 0) {
		return 0, ceph.EFBIG
	}
	if !noTruncate(x) {
		if x.TruncateSeq <= r.v.state.TruncateSeq {
			r.idle = true // seen already
			return 0, nil
		}
		r.v.state.TruncateSeq, r.v.state.TruncateLen = x.TruncateSeq, x.TruncateSize
	}
	return 0, r.v.truncate(x.Offset)
}

func opZero(r *run, in, out *msg.Op) (ceph.Errno, error) {
	x := in.Extent()
	if r.tooFar(x.Offset, x.Length) {
		return 0, ceph.EFBIG
	}
	r.idle = !r.v.exists || x.Offset >= r.v.state.Size
	if r.v.exists && x.Offset < r.v.state.Size && x.Length >= r.v.state.Size-x.Offset {
		out.Code = msg.OpTruncate // what it amounts to, and what the real OSD answers
	}
	return 0, r.v.zero(x.Offset, x.Length)
}

func opDelete(r *run, _, _ *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	if len(r.v.state.Watches) > 0 {
		r.out.Effects = append(r.out.Effects, Disconnect{r.v.name, keysOf(r.v.state.Watches)})
	}
	r.v.remove()
	return 0, nil
}

func opCreate(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	if r.v.exists && in.Flags&msg.OpFlagExcl != 0 {
		return 0, ceph.EEXIST
	}
	r.v.create()
	r.v.user, r.v.changed = true, true
	return 0, nil
}

func opSetAllocHint(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	r.v.create()
	st := r.v.state
	object, write, flags := in.AllocHint()
	if object == st.HintObject && write == st.HintWrite && flags == st.HintFlags {
		return 0, nil
	}
	st.HintObject, st.HintWrite, st.HintFlags = object, write, flags
	r.v.changed = true
	r.v.txn.SetAllocHint(r.env.Coll, r.v.key, object, write, flags)
	return 0, nil
}
