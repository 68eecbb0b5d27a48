package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeOSDScrub2, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &OSDScrub2{ceph.DecodeUUID(d), ceph.Epoch(d.U32()), denc.Slice(d, 24, ceph.DecodeShardPG), d.Bool(), d.Bool()}
	})
}

// OSDScrub2 tells an OSD to scrub PGs it is primary of. It comes from who takes the
// operator's commands: the manager, or a monitor that is one.
type OSDScrub2 struct {
	FSID         ceph.UUID
	Epoch        ceph.Epoch
	PGs          []ceph.ShardPG
	Repair, Deep bool
}

// Kind returns osd_scrub2 v1.
func (m *OSDScrub2) Kind() Kind { return Kind{TypeOSDScrub2, 1, 1} }

// Encode appends the front.
func (m *OSDScrub2) Encode(e *denc.Encoder) {
	m.FSID.Encode(e)
	e.U32(uint32(m.Epoch))
	denc.PutSlice(e, m.PGs, func(e *denc.Encoder, p ceph.ShardPG) { p.Encode(e) })
	e.Bool(m.Repair)
	e.Bool(m.Deep)
}
