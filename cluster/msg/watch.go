package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeWatchNotify, 3, decodeWatchNotify)
	register(TypeOSDBackoff, 1, decodeOSDBackoff)
}

// What a WatchNotify says.
const (
	NotifyNotify     uint8 = 1 // to a watcher: somebody notifies
	NotifyComplete   uint8 = 2 // to the notifier: all have answered, or time is up
	NotifyDisconnect uint8 = 3 // to a watcher: the watch has ended
)

// WatchNotify is what an OSD tells watchers and notifiers. (Front v3.)
type WatchNotify struct {
	Op       uint8
	Cookie   uint64 // of the watch; NotifyComplete: of the notify
	Version  uint64 // user version of the object
	NotifyID uint64
	Payload  []byte
	Result   int32
	Notifier uint64 // global id of the notifying client
	Replies  []byte // data segment of NotifyComplete
}

// Kind returns watch_notify v3.
func (m *WatchNotify) Kind() Kind { return Kind{TypeWatchNotify, 3, 1} }

// Data returns the encoded replies.
func (m *WatchNotify) Data() [][]byte { return [][]byte{m.Replies} }

// Encode appends the front.
func (m *WatchNotify) Encode(e *denc.Encoder) {
	e.U8(1)
	e.U8(m.Op)
	e.U64(m.Cookie)
	e.U64(m.Version)
	e.U64(m.NotifyID)
	e.Blob(m.Payload)
	e.I32(m.Result)
	e.U64(m.Notifier)
}

func decodeWatchNotify(d *denc.Decoder, version uint16, data []byte) Payload {
	if v := d.U8(); version < 3 || v != 1 {
		d.Failf("version %d, %d, want 3, 1", version, v)
	}
	return &WatchNotify{Op: d.U8(), Cookie: d.U64(), Version: d.U64(), NotifyID: d.U64(), Payload: d.Bytes(), Result: d.I32(), Notifier: d.U64(), Replies: data}
}

// What an OSDBackoff says.
const (
	BackoffBlock    uint8 = 1 // to a client: do not send for these objects
	BackoffAckBlock uint8 = 2
	BackoffUnblock  uint8 = 3 // send again
)

// OSDBackoff tells a client to hold requests for a range of objects. Begin = End
// means that one object. (Front v1.)
type OSDBackoff struct {
	PG         ceph.ShardPG
	Epoch      ceph.Epoch
	Op         uint8
	ID         uint64
	Begin, End ceph.HObject
}

// Kind returns osd_backoff v1.
func (m *OSDBackoff) Kind() Kind { return Kind{TypeOSDBackoff, 1, 1} }

// Encode appends the front.
func (m *OSDBackoff) Encode(e *denc.Encoder) {
	m.PG.Encode(e)
	e.U32(uint32(m.Epoch))
	e.U8(m.Op)
	e.U64(m.ID)
	m.Begin.Encode(e)
	m.End.Encode(e)
}

func decodeOSDBackoff(d *denc.Decoder, _ uint16, _ []byte) Payload {
	return &OSDBackoff{ceph.DecodeShardPG(d), ceph.Epoch(d.U32()), d.U8(), d.U64(), ceph.DecodeHObject(d), ceph.DecodeHObject(d)}
}
