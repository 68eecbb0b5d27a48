package msg

import (
	"encoding/binary"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeOSDOp, 8, decodeOSDOp)
	register(TypeOSDOpReply, 8, decodeOSDOpReply)
}

var le = binary.LittleEndian

// argBytes is the size of an operation's arguments; opBytes of an operation.
const (
	argBytes = 28
	opBytes  = 2 + 4 + argBytes + 4
)

// Op is one operation of a request, or its echo in the reply. The arguments are
// kept as they travel; the methods read and write them as the code demands.
//
//	off len field   38 bytes, packed
//	  0   2 code
//	  2   4 flags
//	  6  28 arguments: a union
//	 34   4 payload length
type Op struct {
	Code  OpCode
	Flags uint32
	Arg   [argBytes]byte
	Data  []byte // request: input; reply: output

	Result int32 // reply: of this operation
}

// Extent is the arguments of read, write and their like.
type Extent struct {
	Offset, Length uint64
	TruncateSize   uint64
	TruncateSeq    uint32
}

// Extent reads the arguments as those of a read or write.
func (o *Op) Extent() Extent {
	return Extent{le.Uint64(o.Arg[0:]), le.Uint64(o.Arg[8:]), le.Uint64(o.Arg[16:]), le.Uint32(o.Arg[24:])}
}

// SetExtent writes them.
func (o *Op) SetExtent(x Extent) {
	le.PutUint64(o.Arg[0:], x.Offset)
	le.PutUint64(o.Arg[8:], x.Length)
	le.PutUint64(o.Arg[16:], x.TruncateSize)
	le.PutUint32(o.Arg[24:], x.TruncateSeq)
}

// Xattr is the arguments of the attribute operations; name and value stand one
// behind the other in the payload.
type Xattr struct {
	NameLength, ValueLength uint32
	Compare                 uint8 // 1 EQ, 2 NE, 3 GT, 4 GTE, 5 LT, 6 LTE
	Mode                    uint8 // 1 bytes, 2 numbers
}

// Xattr reads the arguments as those of an attribute operation.
func (o *Op) Xattr() Xattr {
	return Xattr{le.Uint32(o.Arg[0:]), le.Uint32(o.Arg[4:]), o.Arg[8], o.Arg[9]}
}

// SetXattr writes them.
func (o *Op) SetXattr(x Xattr) {
	le.PutUint32(o.Arg[0:], x.NameLength)
	le.PutUint32(o.Arg[4:], x.ValueLength)
	o.Arg[8], o.Arg[9] = x.Compare, x.Mode
}

// Call is the arguments of a class method; names and input stand one behind the
// other in the payload.
type Call struct {
	ClassLength, MethodLength uint8
	InputLength               uint32
}

// Call reads the arguments as those of a class method.
func (o *Op) Call() Call { return Call{o.Arg[0], o.Arg[1], le.Uint32(o.Arg[3:])} }

// Watch is the arguments of watch; notify and notify-ack have only the cookie.
type Watch struct {
	Cookie     uint64
	Op         uint8 // WatchUnwatch …
	Generation uint32
	Timeout    uint32 // seconds; 0: the OSD's default
}

// What a watch operation wants.
const (
	WatchUnwatch   uint8 = 0
	WatchLegacy    uint8 = 1
	WatchWatch     uint8 = 3
	WatchReconnect uint8 = 5
	WatchPing      uint8 = 7
)

// Watch reads the arguments as those of a watch.
func (o *Op) Watch() Watch {
	return Watch{le.Uint64(o.Arg[0:]), o.Arg[16], le.Uint32(o.Arg[17:]), le.Uint32(o.Arg[21:])}
}

// SetWatch writes them.
func (o *Op) SetWatch(w Watch) {
	le.PutUint64(o.Arg[0:], w.Cookie)
	o.Arg[16] = w.Op
	le.PutUint32(o.Arg[17:], w.Generation)
	le.PutUint32(o.Arg[21:], w.Timeout)
}

// SnapID reads the argument of rollback.
func (o *Op) SnapID() ceph.SnapID { return ceph.SnapID(le.Uint64(o.Arg[0:])) }

// AssertVersion reads the argument of assert-version.
func (o *Op) AssertVersion() uint64 { return le.Uint64(o.Arg[8:]) }

// List reads the arguments of the listing operations: how many names at most,
// and the map epoch the listing began in.
func (o *Op) List() (count uint64, start ceph.Epoch) {
	return le.Uint64(o.Arg[0:]), ceph.Epoch(le.Uint32(o.Arg[8:]))
}

// CopyFrom is the arguments of copy-from.
type CopyFrom struct {
	Snap    ceph.SnapID
	Version uint64
	Flags   uint8
	Fadvise uint32
}

// CopyFrom reads the arguments as those of copy-from.
func (o *Op) CopyFrom() CopyFrom {
	return CopyFrom{ceph.SnapID(le.Uint64(o.Arg[0:])), le.Uint64(o.Arg[8:]), o.Arg[16], le.Uint32(o.Arg[17:])}
}

// SetCopyFrom writes them.
func (o *Op) SetCopyFrom(c CopyFrom) {
	le.PutUint64(o.Arg[0:], uint64(c.Snap))
	le.PutUint64(o.Arg[8:], c.Version)
	o.Arg[16] = c.Flags
	le.PutUint32(o.Arg[17:], c.Fadvise)
}

// CopyGet reads the argument of copy-get: how many bytes at most.
func (o *Op) CopyGet() uint64 { return le.Uint64(o.Arg[0:]) }

// SetCopyGet writes it.
func (o *Op) SetCopyGet(most uint64) { le.PutUint64(o.Arg[0:], most) }

// AllocHint reads the arguments of set-alloc-hint: sizes expected, and flags.
func (o *Op) AllocHint() (objectSize, writeSize uint64, flags uint32) {
	return le.Uint64(o.Arg[0:]), le.Uint64(o.Arg[8:]), le.Uint32(o.Arg[16:])
}

// WriteSame reads the arguments of write-same: where, how much, how long the
// pattern is.
func (o *Op) WriteSame() (offset, length, pattern uint64) {
	return le.Uint64(o.Arg[0:]), le.Uint64(o.Arg[8:]), le.Uint64(o.Arg[16:])
}

// Checksum is the arguments of checksum.
type Checksum struct {
	Offset, Length uint64
	Chunk          uint32 // bytes for each sum; 0: all
	Type           uint8  // 0 xxhash32, 1 xxhash64, 2 crc32c
}

// Checksum reads the arguments as those of checksum.
func (o *Op) Checksum() Checksum {
	return Checksum{le.Uint64(o.Arg[0:]), le.Uint64(o.Arg[8:]), le.Uint32(o.Arg[16:]), o.Arg[20]}
}

func (o *Op) encode(e *denc.Encoder) {
	e.U16(uint16(o.Code))
	e.U32(o.Flags)
	e.Raw(o.Arg[:])
	e.U32(uint32(len(o.Data)))
}

// decodeOps reads n operations and hands out the data segment to them.
func decodeOps(d *denc.Decoder, n int, lengths []uint32) ([]Op, []uint32) {
	if n*opBytes > d.Left() {
		d.Failf("%d operations in %d bytes", n, d.Left())
		return nil, nil
	}
	ops := make([]Op, n)
	for i := range ops {
		o := &ops[i]
		o.Code, o.Flags = OpCode(d.U16()), d.U32()
		copy(o.Arg[:], d.Raw(argBytes))
		lengths = append(lengths, d.U32())
	}
	return ops, lengths
}

// share gives each operation its part of the data segment.
func share(d *denc.Decoder, ops []Op, lengths []uint32, data []byte) {
	for i := range ops {
		n := int(lengths[i])
		if n > len(data) {
			d.Failf("operation %d: %d bytes of data, %d there", i, n, len(data))
			return
		}
		if n > 0 {
			ops[i].Data = data[:n:n]
		}
		data = data[n:]
	}
}

// parts collects the data of operations.
func parts(ops []Op) (p [][]byte) {
	for i := range ops {
		if len(ops[i].Data) > 0 {
			p = append(p, ops[i].Data)
		}
	}
	return p
}

// OSDOp is a client's request to the OSD that is primary of an object's PG: any
// number of operations on one object, done as one or not at all. (Front v8.)
type OSDOp struct {
	PG       ceph.ShardPG
	Hash     uint32 // of the object, all 32 bits
	Epoch    ceph.Epoch
	Flags    uint32
	ReqID    ceph.ReqID // zero: the session's client, the message's tid, ClientInc
	Trace    [3]uint64
	Inc      uint32
	MTime    ceph.Time
	Locator  ceph.Locator
	Name     string
	Ops      []Op
	Snap     ceph.SnapID   // to read at; NoSnap: the head
	SnapSeq  ceph.SnapID   // snapshot context of a write
	Snaps    []ceph.SnapID // likewise, descending
	Retry    int32         // 0 at first
	Features uint64        // of the client
}

// Kind returns osd_op v8.
func (m *OSDOp) Kind() Kind { return Kind{TypeOSDOp, 8, 3} }

// Data returns the inputs of the operations.
func (m *OSDOp) Data() [][]byte { return parts(m.Ops) }

// Encode appends the front.
func (m *OSDOp) Encode(e *denc.Encoder) {
	m.PG.Encode(e)
	e.U32(m.Hash)
	e.U32(uint32(m.Epoch))
	e.U32(m.Flags)
	m.ReqID.Encode(e)
	putTrace(e, m.Trace)
	e.U32(m.Inc)
	m.MTime.Encode(e)
	m.Locator.Encode(e)
	e.Str(m.Name)
	e.U16(uint16(len(m.Ops)))
	for i := range m.Ops {
		m.Ops[i].encode(e)
	}
	e.U64(uint64(m.Snap))
	e.U64(uint64(m.SnapSeq))
	denc.PutSlice(e, m.Snaps, func(e *denc.Encoder, s ceph.SnapID) { e.U64(uint64(s)) })
	e.I32(m.Retry)
	e.U64(m.Features)
}

func decodeOSDOp(d *denc.Decoder, version uint16, data []byte) Payload {
	if version < 8 {
		d.Failf("version %d, want 8", version)
	}
	m := &OSDOp{PG: ceph.DecodeShardPG(d), Hash: d.U32(), Epoch: ceph.Epoch(d.U32()), Flags: d.U32(), ReqID: ceph.DecodeReqID(d)}
	m.Trace = trace(d)
	m.Inc, m.MTime, m.Locator, m.Name = d.U32(), ceph.DecodeTime(d), ceph.DecodeLocator(d), d.Str()
	var room [4]uint32
	ops, lengths := decodeOps(d, int(d.U16()), room[:0])
	m.Ops = ops
	m.Snap, m.SnapSeq = ceph.SnapID(d.U64()), ceph.SnapID(d.U64())
	m.Snaps = denc.Slice(d, 8, func(d *denc.Decoder) ceph.SnapID { return ceph.SnapID(d.U64()) })
	m.Retry, m.Features = d.I32(), d.U64()
	share(d, m.Ops, lengths, data)
	return m
}

func putTrace(e *denc.Encoder, t [3]uint64) {
	for _, v := range t {
		e.U64(v)
	}
}

func trace(d *denc.Decoder) [3]uint64 { return [3]uint64{d.U64(), d.U64(), d.U64()} }

// OSDOpReply answers an OSDOp. (Front v8.)
type OSDOpReply struct {
	Name        string
	PG          ceph.PG
	Flags       uint64
	Result      int32 // 0 or more, or a negative errno
	BadReplay   ceph.EVersion
	Epoch       ceph.Epoch
	Ops         []Op // those of the request, with output and result
	Retry       int32
	Replay      ceph.EVersion
	UserVersion uint64
	Redirect    []byte // encoded; nil: none
	Trace       [3]uint64
}

// Kind returns osd_op_reply v8.
func (m *OSDOpReply) Kind() Kind { return Kind{TypeOSDOpReply, 8, 2} }

// Data returns the outputs of the operations.
func (m *OSDOpReply) Data() [][]byte { return parts(m.Ops) }

// Encode appends the front.
func (m *OSDOpReply) Encode(e *denc.Encoder) {
	e.Str(m.Name)
	m.PG.Encode(e)
	e.U64(m.Flags)
	e.I32(m.Result)
	m.BadReplay.Encode(e)
	e.U32(uint32(m.Epoch))
	e.U32(uint32(len(m.Ops)))
	for i := range m.Ops {
		m.Ops[i].encode(e)
	}
	e.I32(m.Retry)
	for i := range m.Ops {
		e.I32(m.Ops[i].Result)
	}
	m.Replay.Encode(e)
	e.U64(m.UserVersion)
	e.Bool(m.Redirect != nil)
	e.Raw(m.Redirect)
	putTrace(e, m.Trace)
}

func decodeOSDOpReply(d *denc.Decoder, version uint16, data []byte) Payload {
	if version < 8 {
		d.Failf("version %d, want 8", version)
	}
	m := &OSDOpReply{Name: d.Str(), PG: ceph.DecodePG(d), Flags: d.U64(), Result: d.I32(), BadReplay: ceph.DecodeEVersion(d), Epoch: ceph.Epoch(d.U32())}
	var room [4]uint32
	ops, lengths := decodeOps(d, d.Count(opBytes), room[:0])
	m.Ops = ops
	m.Retry = d.I32()
	for i := range m.Ops {
		m.Ops[i].Result = d.I32()
	}
	m.Replay, m.UserVersion = ceph.DecodeEVersion(d), d.U64()
	if d.Bool() {
		m.Redirect = d.Opaque()
	}
	m.Trace = trace(d)
	share(d, m.Ops, lengths, data)
	return m
}
