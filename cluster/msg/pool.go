package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypePoolOp, 4, decodePoolOp)
	register(TypePoolOpReply, 1, decodePoolOpReply)
	register(TypeGetPoolStats, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &GetPoolStats{paxos(d), ceph.DecodeUUID(d), denc.Slice(d, 4, (*denc.Decoder).Str)}
	})
	register(TypeGetPoolStatsReply, 2, decodeGetPoolStatsReply)
}

// What a PoolOp wants.
const (
	PoolOpCreate       uint32 = 0x01
	PoolOpDelete       uint32 = 0x02
	PoolOpMkSnap       uint32 = 0x11 // by name
	PoolOpRmSnap       uint32 = 0x12
	PoolOpCreateSnapID uint32 = 0x21 // self-managed: the reply has the id
	PoolOpDeleteSnapID uint32 = 0x22
)

// PoolOp makes, removes or snapshots a pool. (Front v4.)
type PoolOp struct {
	Paxos
	FSID ceph.UUID
	Pool uint32
	Op   uint32
	Auid uint64 // 0
	Snap ceph.SnapID
	Name string
	Pad  uint8 // 0
	Rule int16
}

// Kind returns poolop v4.
func (m *PoolOp) Kind() Kind { return Kind{TypePoolOp, 4, 2} }

// Encode appends the front.
func (m *PoolOp) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	e.U32(m.Pool)
	e.U32(m.Op)
	e.U64(m.Auid)
	e.U64(uint64(m.Snap))
	e.Str(m.Name)
	e.U8(m.Pad)
	e.I16(m.Rule)
}

func decodePoolOp(d *denc.Decoder, version uint16, _ []byte) Payload {
	if version < 4 {
		d.Failf("version %d, want 4", version)
	}
	return &PoolOp{paxos(d), ceph.DecodeUUID(d), d.U32(), d.U32(), d.U64(), ceph.SnapID(d.U64()), d.Str(), d.U8(), d.I16()}
}

// PoolOpReply answers PoolOp. The client waits for the map of Epoch.
type PoolOpReply struct {
	Paxos
	FSID   ceph.UUID
	Result int32
	Epoch  ceph.Epoch
	Output []byte // nil: none
}

// Kind returns poolop_reply v1.
func (m *PoolOpReply) Kind() Kind { return Kind{TypePoolOpReply, 1, 1} }

// Encode appends the front.
func (m *PoolOpReply) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	e.I32(m.Result)
	e.U32(uint32(m.Epoch))
	e.Bool(m.Output != nil)
	if m.Output != nil {
		e.Blob(m.Output)
	}
}

func decodePoolOpReply(d *denc.Decoder, _ uint16, _ []byte) Payload {
	m := &PoolOpReply{Paxos: paxos(d), FSID: ceph.DecodeUUID(d), Result: d.I32(), Epoch: ceph.Epoch(d.U32())}
	if d.Bool() {
		if m.Output = d.Bytes(); m.Output == nil {
			m.Output = []byte{}
		}
	}
	return m
}

// GetPoolStats asks for the statistics of pools by name.
type GetPoolStats struct {
	Paxos
	FSID  ceph.UUID
	Pools []string
}

// Kind returns getpoolstats v1.
func (m *GetPoolStats) Kind() Kind { return Kind{TypeGetPoolStats, 1, 1} }

// Encode appends the front.
func (m *GetPoolStats) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	denc.PutSlice(e, m.Pools, (*denc.Encoder).Str)
}

// GetPoolStatsReply answers GetPoolStats. (Front v2.)
type GetPoolStatsReply struct {
	Paxos
	FSID    ceph.UUID
	Pools   map[string]PoolStat
	PerPool bool // the OSDs report pools one by one
}

// Kind returns getpoolstatsreply v2.
func (m *GetPoolStatsReply) Kind() Kind { return Kind{TypeGetPoolStatsReply, 2, 1} }

// Encode appends the front.
func (m *GetPoolStatsReply) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	denc.PutMap(e, m.Pools, (*denc.Encoder).Str, func(e *denc.Encoder, p PoolStat) { p.Encode(e) })
	e.Bool(m.PerPool)
}

func decodeGetPoolStatsReply(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &GetPoolStatsReply{Paxos: paxos(d), FSID: ceph.DecodeUUID(d), Pools: denc.Map(d, 10, (*denc.Decoder).Str, DecodePoolStat)}
	if version >= 2 {
		m.PerPool = d.Bool()
	}
	return m
}
