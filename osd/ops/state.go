package ops

import (
	"cmp"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd"
)

// StateAttr is the attr that holds an object's State; attrs of users have a
// prefix that keeps them apart.
const (
	StateAttr  = "_"
	userPrefix = "u"
)

// WatchKey names a watch: a client may hold several on one object.
type WatchKey struct {
	Client ceph.EntityID
	Cookie uint64
}

// Compare orders by cookie, then client.
func (k WatchKey) Compare(o WatchKey) int {
	return cmp.Or(cmp.Compare(k.Cookie, o.Cookie), k.Client.Compare(o.Client))
}

// Watch is what is remembered of a watch over restarts.
type Watch struct {
	Timeout uint32 // seconds
	Addr    ceph.Addr
}

// Info is what an OSD knows of an object beside its content.
type Info struct {
	Version     ceph.EVersion // of the last request that changed it
	UserVersion uint64        // what clients see and assert
	LastReq     ceph.ReqID
	Size        uint64
	MTime       ceph.Time // as the client said
	LocalMTime  ceph.Time
	TruncateSeq uint32 // of file systems
	TruncateLen uint64
	Whiteout    bool // deleted, kept for its clones
	HasOmap     bool
	HintObject  uint64 // allocation hint
	HintWrite   uint64
	HintFlags   uint32
	Watches     map[WatchKey]Watch
	Snaps       []ceph.SnapID // of a clone: snapshots it is for, descending
}

// Clone is one clone of a head.
type Clone struct {
	ID      ceph.SnapID
	Size    uint64
	Snaps   []ceph.SnapID // descending
	Overlap []osd.Extent  // ranges that are the same in the next newer one
}

// SnapSet is the clones of a head, ascending, and the newest snapshot it knows.
type SnapSet struct {
	Seq    ceph.SnapID
	Clones []Clone
}

// State is an object's metadata: SnapSet is a head's alone.
type State struct {
	Info
	SnapSet
}

// copy returns a State whose parts can be changed.
func (s *State) copy() *State {
	c := *s
	c.Watches = maps.Clone(s.Watches)
	c.Clones = slices.Clone(s.Clones)
	return &c
}

const (
	flagWhiteout = 1 << iota
	flagOmap
)

// Encode appends the State, struct v1 of our own.
func (s *State) Encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	s.Version.Encode(e)
	e.U64(s.UserVersion)
	s.LastReq.Encode(e)
	e.U64(s.Size)
	s.MTime.Encode(e)
	s.LocalMTime.Encode(e)
	e.U32(s.TruncateSeq)
	e.U64(s.TruncateLen)
	var flags uint8
	if s.Whiteout {
		flags |= flagWhiteout
	}
	if s.HasOmap {
		flags |= flagOmap
	}
	e.U8(flags)
	e.U64(s.HintObject)
	e.U64(s.HintWrite)
	e.U32(s.HintFlags)
	denc.PutMapFunc(e, s.Watches, WatchKey.Compare, func(e *denc.Encoder, k WatchKey) {
		k.Client.Encode(e)
		e.U64(k.Cookie)
	}, func(e *denc.Encoder, w Watch) {
		e.U32(w.Timeout)
		w.Addr.Encode(e)
	})
	putSnaps(e, s.Snaps)
	e.U64(uint64(s.Seq))
	denc.PutSlice(e, s.Clones, func(e *denc.Encoder, c Clone) {
		e.U64(uint64(c.ID))
		e.U64(c.Size)
		putSnaps(e, c.Snaps)
		denc.PutSlice(e, c.Overlap, putExtent)
	})
	e.End(m)
}

// DecodeState reads a State.
func DecodeState(p []byte) (*State, error) {
	d := denc.NewDecoder(p)
	s := &State{}
	v := d.Begin(1)
	s.Version, s.UserVersion, s.LastReq = ceph.DecodeEVersion(d), d.U64(), ceph.DecodeReqID(d)
	s.Size, s.MTime, s.LocalMTime = d.U64(), ceph.DecodeTime(d), ceph.DecodeTime(d)
	s.TruncateSeq, s.TruncateLen = d.U32(), d.U64()
	flags := d.U8()
	s.Whiteout, s.HasOmap = flags&flagWhiteout != 0, flags&flagOmap != 0
	s.HintObject, s.HintWrite, s.HintFlags = d.U64(), d.U64(), d.U32()
	s.Watches = denc.Map(d, 32, func(d *denc.Decoder) WatchKey {
		return WatchKey{ceph.DecodeEntityID(d), d.U64()}
	}, func(d *denc.Decoder) Watch { return Watch{d.U32(), ceph.DecodeAddr(d)} })
	s.Snaps = snaps(d)
	s.Seq = ceph.SnapID(d.U64())
	s.Clones = denc.Slice(d, 24, func(d *denc.Decoder) Clone {
		return Clone{ceph.SnapID(d.U64()), d.U64(), snaps(d), denc.Slice(d, 16, extent)}
	})
	d.End(v)
	return s, d.Finish()
}

func putSnaps(e *denc.Encoder, list []ceph.SnapID) {
	denc.PutSlice(e, list, func(e *denc.Encoder, s ceph.SnapID) { e.U64(uint64(s)) })
}

func snaps(d *denc.Decoder) []ceph.SnapID {
	return denc.Slice(d, 8, func(d *denc.Decoder) ceph.SnapID { return ceph.SnapID(d.U64()) })
}

func putExtent(e *denc.Encoder, x osd.Extent) {
	e.U64(x.Off)
	e.U64(x.Len)
}

func extent(d *denc.Decoder) osd.Extent { return osd.Extent{Off: d.U64(), Len: d.U64()} }
