package msg

import "ebofs/cluster/denc"

func init() {
	register(TypeMonPeer, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		m := &MonPeer{Name: d.Str(), OSD: d.I32(), Type: Type(d.U16()), Version: d.U16(), Compat: d.U16()}
		m.Front = d.Bytes()
		return m
	})
}

// MonPeer is what our monitors send each other: a sign of life, or what an OSD has
// told one of them and all must know. It is of no release of Ceph's, whose monitors
// hand such messages to their leader. (Front v1.)
type MonPeer struct {
	Name string // of the monitor that sends it
	OSD  int32  // who told it; −1: nobody, it is a sign of life
	// The message, as it came.
	Type            Type
	Version, Compat uint16
	Front           []byte
}

// Kind returns mon_peer v1.
func (m *MonPeer) Kind() Kind { return Kind{TypeMonPeer, 1, 1} }

// Encode appends the front.
func (m *MonPeer) Encode(e *denc.Encoder) {
	e.Str(m.Name)
	e.I32(m.OSD)
	e.U16(uint16(m.Type))
	e.U16(m.Version)
	e.U16(m.Compat)
	e.Blob(m.Front)
}

// Payload returns the message within.
func (m *MonPeer) Payload() (Payload, error) {
	return Unpack(&Message{Type: m.Type, Version: m.Version, Compat: m.Compat, Front: m.Front})
}
