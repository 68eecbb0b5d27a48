// Package msg is the envelope in which daemons and clients of the cluster
// exchange requests and replies, and their contents: type, versions, priority,
// transaction number and three byte strings, and a Go type for the fields of each
// kind. The messenger moves envelopes and looks into none.
//
// Nouns. A Message has a front, the encoded fields; a middle, nearly always
// empty; and data, bulk bytes that are not decoded. Version is of the front's
// encoding, Compat the oldest version a receiver must know to read it. A Payload
// is the content of one kind of message:
//
//	Payload ── Pack ──▶ Message ── messenger ──▶ Message ── Unpack ──▶ Payload
//
// Invariants:
//
//	I1  A message that was given to a messenger does not change any more, it or
//	    the bytes it points to, and may be given to several.
//	I2  The bytes of a received message are its handler's until Release; the room
//	    it takes is given back when its handler returns, or at Release if the
//	    handler called Hold. A payload that was unpacked points into them.
//	I3  A payload that decodes encodes to the same bytes again, for the versions
//	    we write. Any input gives a payload or an error, never a panic.
//
// Nothing is locked or started. Headers and fields were read off bytes captured
// from Ceph 16.2; cluster/testdata has them.
package msg
