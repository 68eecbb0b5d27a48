package frame

import "encoding/binary"

// HeaderBytes is the length of segment 0 of a MESSAGE.
const HeaderBytes = 41

// Flags of a message header that every 16.2 peer sets: the message is complete,
// and its data has no checksum of its own.
const headerFlags = 3

// Header is segment 0 of a MESSAGE. (ceph_msg_header2.)
//
//	off len field
//	  0   8 seq
//	  8   8 tid
//	 16   2 type
//	 18   2 priority
//	 20   2 version of the front
//	 22   4 padding before the data, 0
//	 26   2 offset hint of the data
//	 28   8 highest seq received
//	 36   1 flags
//	 37   2 compat version of the front
//	 39   2 reserved
type Header struct {
	Seq, TID        uint64
	Type, Priority  uint16
	Version, Compat uint16
	DataOffset      uint16
	Ack             uint64
}

// Append appends the 41 bytes.
func (h *Header) Append(p []byte) []byte {
	p = binary.LittleEndian.AppendUint64(p, h.Seq)
	p = binary.LittleEndian.AppendUint64(p, h.TID)
	p = binary.LittleEndian.AppendUint16(p, h.Type)
	p = binary.LittleEndian.AppendUint16(p, h.Priority)
	p = binary.LittleEndian.AppendUint16(p, h.Version)
	p = append(p, 0, 0, 0, 0)
	p = binary.LittleEndian.AppendUint16(p, h.DataOffset)
	p = binary.LittleEndian.AppendUint64(p, h.Ack)
	p = append(p, headerFlags)
	p = binary.LittleEndian.AppendUint16(p, h.Compat)
	return append(p, 0, 0)
}

// DecodeHeader reads a message header. Padding before the data, which nobody
// sends, is refused; flags and reserved bytes are not looked at.
func DecodeHeader(p []byte) (h Header, err error) {
	if len(p) != HeaderBytes {
		return h, bad("message header of %d bytes, want %d", len(p), HeaderBytes)
	}
	le := binary.LittleEndian
	if pad := le.Uint32(p[22:]); pad != 0 {
		return h, bad("message header: %d bytes of padding before the data", pad)
	}
	return Header{
		Seq: le.Uint64(p), TID: le.Uint64(p[8:]),
		Type: le.Uint16(p[16:]), Priority: le.Uint16(p[18:]),
		Version: le.Uint16(p[20:]), Compat: le.Uint16(p[37:]),
		DataOffset: le.Uint16(p[26:]), Ack: le.Uint64(p[28:]),
	}, nil
}
