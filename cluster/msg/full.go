package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeOSDFull, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &OSDFull{paxos(d), ceph.Epoch(d.U32()), d.U32()}
	})
}

// OSDFull says how full an OSD is: the bits of its state in the OSD map that mean
// full, backfillfull and nearfull, one at most.
type OSDFull struct {
	Paxos
	Epoch ceph.Epoch
	State uint32
}

// Kind returns osd_full v1.
func (m *OSDFull) Kind() Kind { return Kind{TypeOSDFull, 1, 1} }

// Encode appends the front.
func (m *OSDFull) Encode(e *denc.Encoder) {
	m.encode(e)
	e.U32(uint32(m.Epoch))
	e.U32(m.State)
}
