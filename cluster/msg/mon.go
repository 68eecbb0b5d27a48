package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Paxos is the head of many messages of monitors, 18 bytes. Version is, of a
// request, the least version of the map the answer has to be based on, 0 for
// any; of a reply, the version it was answered from.
type Paxos struct {
	Version    uint64
	SessionMon int16 // −1
	SessionTid uint64
}

// NewPaxos returns the head for a version, as everybody sends it.
func NewPaxos(version uint64) Paxos { return Paxos{Version: version, SessionMon: -1} }

func (p Paxos) encode(e *denc.Encoder) {
	e.U64(p.Version)
	e.I16(p.SessionMon)
	e.U64(p.SessionTid)
}

func paxos(d *denc.Decoder) Paxos { return Paxos{d.U64(), d.I16(), d.U64()} }

func init() {
	register(TypePing, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		m := &Ping{}
		if d.Left() > 0 {
			m.Status = d.Bytes()
		}
		return m
	})
	register(TypeMonMap, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload { return &MonMap{d.Bytes()} })
	register(TypeMonGetMap, 1, func(*denc.Decoder, uint16, []byte) Payload { return &MonGetMap{} })
	register(TypeStatFS, 2, decodeStatFS)
	register(TypeStatFSReply, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &StatFSReply{ceph.DecodeUUID(d), d.U64(), d.U64(), d.U64(), d.U64(), d.U64()}
	})
	register(TypeMonSubscribe, 3, decodeMonSubscribe)
	register(TypeAuth, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &Auth{paxos(d), d.U32(), d.Bytes(), ceph.Epoch(d.U32())}
	})
	register(TypeAuthReply, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &AuthReply{d.U32(), d.I32(), d.U64(), d.Bytes(), d.Str()}
	})
	register(TypeMonGetVersion, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &MonGetVersion{d.U64(), d.Str()}
	})
	register(TypeMonGetVersionReply, 2, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &MonGetVersionReply{d.U64(), d.U64(), d.U64()}
	})
	register(TypeOSDMap, 4, decodeOSDMap)
	register(TypeKVData, 1, decodeKVData)
	register(TypeConfig, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &Config{denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str)}
	})
}

// Ping asks a monitor for its status; the reply, of compat 0, has it as JSON.
type Ping struct {
	Status []byte // nil: a request
}

// Kind returns ping v1.
func (m *Ping) Kind() Kind {
	if m.Status == nil {
		return Kind{TypePing, 1, 1}
	}
	return Kind{TypePing, 1, 0}
}

// Encode appends the front.
func (m *Ping) Encode(e *denc.Encoder) {
	if m.Status != nil {
		e.Blob(m.Status)
	}
}

// MonMap hands out the encoded map of the monitors (cluster/monmap).
type MonMap struct {
	Map []byte
}

// Kind returns mon_map v1.
func (m *MonMap) Kind() Kind { return Kind{TypeMonMap, 1, 1} }

// Encode appends the front.
func (m *MonMap) Encode(e *denc.Encoder) { e.Blob(m.Map) }

// MonGetMap asks for the map of the monitors.
type MonGetMap struct{}

// Kind returns mon_get_map v1.
func (m *MonGetMap) Kind() Kind { return Kind{TypeMonGetMap, 1, 1} }

// Encode appends nothing.
func (m *MonGetMap) Encode(*denc.Encoder) {}

// StatFS asks how full the cluster is, or what a pool has of it.
type StatFS struct {
	Paxos
	FSID ceph.UUID
	Pool *ceph.PoolID
}

// Kind returns statfs v2.
func (m *StatFS) Kind() Kind { return Kind{TypeStatFS, 2, 1} }

// Encode appends the front.
func (m *StatFS) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	e.Bool(m.Pool != nil)
	if m.Pool != nil {
		e.I64(int64(*m.Pool))
	}
}

func decodeStatFS(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &StatFS{Paxos: paxos(d), FSID: ceph.DecodeUUID(d)}
	if version >= 2 && d.Bool() {
		p := ceph.PoolID(d.I64())
		m.Pool = &p
	}
	return m
}

// StatFSReply answers StatFS, in KiB.
type StatFSReply struct {
	FSID                ceph.UUID
	Version             uint64
	KB, KBUsed, KBAvail uint64
	Objects             uint64
}

// Kind returns statfs_reply v1.
func (m *StatFSReply) Kind() Kind { return Kind{TypeStatFSReply, 1, 1} }

// Encode appends the front.
func (m *StatFSReply) Encode(e *denc.Encoder) {
	m.FSID.Encode(e)
	for _, v := range [...]uint64{m.Version, m.KB, m.KBUsed, m.KBAvail, m.Objects} {
		e.U64(v)
	}
}

// Subscription asks for a map from version Start on; 0: whatever is newest.
type Subscription struct {
	Start uint64
	Flags uint8 // bit 0: once
}

// SubscribeOnce in Subscription.Flags ends it with the first delivery.
const SubscribeOnce uint8 = 1

// MonSubscribe asks to be sent maps, now and as they change. (Front v3.)
type MonSubscribe struct {
	What     map[string]Subscription
	Hostname string
}

// Kind returns mon_subscribe v3.
func (m *MonSubscribe) Kind() Kind { return Kind{TypeMonSubscribe, 3, 1} }

// Encode appends the front.
func (m *MonSubscribe) Encode(e *denc.Encoder) {
	denc.PutMap(e, m.What, (*denc.Encoder).Str, func(e *denc.Encoder, s Subscription) {
		e.U64(s.Start)
		e.U8(s.Flags)
	})
	e.Str(m.Hostname)
}

func decodeMonSubscribe(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &MonSubscribe{What: denc.Map(d, 13, (*denc.Decoder).Str, func(d *denc.Decoder) Subscription { return Subscription{d.U64(), d.U8()} })}
	if version >= 3 {
		m.Hostname = d.Str()
	}
	return m
}

// Auth carries a step of authentication beyond the handshake: an entity asks for
// more tickets, a daemon for rotating keys.
type Auth struct {
	Paxos
	Protocol    uint32
	Payload     []byte
	MonMapEpoch ceph.Epoch
}

// Kind returns auth v1.
func (m *Auth) Kind() Kind { return Kind{TypeAuth, 1, 1} }

// Encode appends the front.
func (m *Auth) Encode(e *denc.Encoder) {
	m.encode(e)
	e.U32(m.Protocol)
	e.Blob(m.Payload)
	e.U32(uint32(m.MonMapEpoch))
}

// AuthReply answers Auth.
type AuthReply struct {
	Protocol uint32
	Result   int32
	GlobalID uint64
	Payload  []byte
	Text     string
}

// Kind returns auth_reply v1.
func (m *AuthReply) Kind() Kind { return Kind{TypeAuthReply, 1, 1} }

// Encode appends the front.
func (m *AuthReply) Encode(e *denc.Encoder) {
	e.U32(m.Protocol)
	e.I32(m.Result)
	e.U64(m.GlobalID)
	e.Blob(m.Payload)
	e.Str(m.Text)
}

// MonGetVersion asks for the newest and oldest version of a map.
type MonGetVersion struct {
	Handle uint64 // echoed: the reply is found by it, not by the tid
	What   string
}

// Kind returns mon_get_version v1.
func (m *MonGetVersion) Kind() Kind { return Kind{TypeMonGetVersion, 1, 1} }

// Encode appends the front.
func (m *MonGetVersion) Encode(e *denc.Encoder) {
	e.U64(m.Handle)
	e.Str(m.What)
}

// MonGetVersionReply answers MonGetVersion.
type MonGetVersionReply struct {
	Handle, Newest, Oldest uint64
}

// Kind returns mon_get_version_reply v2.
func (m *MonGetVersionReply) Kind() Kind { return Kind{TypeMonGetVersionReply, 2, 2} }

// Encode appends the front.
func (m *MonGetVersionReply) Encode(e *denc.Encoder) {
	e.U64(m.Handle)
	e.U64(m.Newest)
	e.U64(m.Oldest)
}

// OSDMap hands out encoded OSD maps (cluster/osdmap): whole ones, and changes
// from one epoch to the next, without gaps. (Front v4.)
type OSDMap struct {
	FSID         ceph.UUID
	Incrementals map[ceph.Epoch][]byte
	Full         map[ceph.Epoch][]byte
	Oldest       ceph.Epoch // the sender has; older ones it cannot give
	Newest       ceph.Epoch
	Gap          uint32 // removed snapshots of epochs that are gone: 0
}

// Kind returns osd_map v4.
func (m *OSDMap) Kind() Kind { return Kind{TypeOSDMap, 4, 3} }

// Encode appends the front.
func (m *OSDMap) Encode(e *denc.Encoder) {
	m.FSID.Encode(e)
	for _, maps := range [...]map[ceph.Epoch][]byte{m.Incrementals, m.Full} {
		denc.PutMap(e, maps, func(e *denc.Encoder, v ceph.Epoch) { e.U32(uint32(v)) }, (*denc.Encoder).Blob)
	}
	e.U32(uint32(m.Oldest))
	e.U32(uint32(m.Newest))
	e.U32(m.Gap)
}

func decodeOSDMap(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &OSDMap{FSID: ceph.DecodeUUID(d)}
	for _, maps := range [...]*map[ceph.Epoch][]byte{&m.Incrementals, &m.Full} {
		*maps = denc.Map(d, 8, func(d *denc.Decoder) ceph.Epoch { return ceph.Epoch(d.U32()) }, (*denc.Decoder).Bytes)
	}
	m.Oldest, m.Newest = ceph.Epoch(d.U32()), ceph.Epoch(d.U32())
	if version >= 4 {
		if m.Gap = d.U32(); m.Gap != 0 {
			d.Failf("%d lists of removed snapshots", m.Gap)
		}
	}
	return m
}

// KVData hands a part of the key/value store to managers; a nil value is a key
// that is gone.
type KVData struct {
	Version     uint64
	Prefix      string
	Incremental bool
	Data        map[string]*[]byte
}

// Kind returns kv_data v1.
func (m *KVData) Kind() Kind { return Kind{TypeKVData, 1, 1} }

// Encode appends the front.
func (m *KVData) Encode(e *denc.Encoder) {
	e.U64(m.Version)
	e.Str(m.Prefix)
	e.Bool(m.Incremental)
	denc.PutMap(e, m.Data, (*denc.Encoder).Str, func(e *denc.Encoder, v *[]byte) {
		e.Bool(v != nil)
		if v != nil {
			e.Blob(*v)
		}
	})
}

func decodeKVData(d *denc.Decoder, _ uint16, _ []byte) Payload {
	return &KVData{d.U64(), d.Str(), d.Bool(), denc.Map(d, 5, (*denc.Decoder).Str, func(d *denc.Decoder) *[]byte {
		if !d.Bool() {
			return nil
		}
		v := d.Bytes()
		return &v
	})}
}

// Config sets options of the receiver, over what its file says.
type Config struct {
	Values map[string]string
}

// Kind returns config v1.
func (m *Config) Kind() Kind { return Kind{TypeConfig, 1, 1} }

// Encode appends the front.
func (m *Config) Encode(e *denc.Encoder) {
	denc.PutMap(e, m.Values, (*denc.Encoder).Str, (*denc.Encoder).Str)
}
