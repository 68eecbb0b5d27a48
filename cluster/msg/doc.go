// Package msg is the envelope in which daemons and clients of the cluster
// exchange requests and replies: type, versions, priority, transaction number
// and three byte strings. What is in those is the business of who sends and
// handles a type; the messenger moves envelopes and looks into none.
//
// Nouns. A Message has a front, the encoded fields; a middle, nearly always
// empty; and data, bulk bytes that are not decoded. Version is of the front's
// encoding, Compat the oldest version a receiver must know to read it.
//
// Invariants:
//
//	I1  A message that was given to a messenger does not change any more, it or
//	    the bytes it points to, and may be given to several.
//	I2  The bytes of a received message are its handler's until Release; the room
//	    it takes is given back when its handler returns, or at Release if the
//	    handler called Hold.
//
// Nothing is locked or started. Headers were read off bytes captured from Ceph
// 16.2.
package msg
