// Package frame is the byte level of messenger v2.1: the banner, frames in crc
// and in secure mode, and the payloads of control frames. It knows no session,
// keeps no state but nonces and buffers, and starts nothing.
//
// Nouns. A frame is a tag and one to four segments. A Reader takes frames off a
// stream in two steps, Head and Body, so that its user can refuse a frame, or
// wait for room, when its sizes are known and nothing is allocated. A Writer
// collects frames and writes all of them at once.
//
//	crc     preamble 32 | segment 0 | crc | segments 1…3 | epilogue 13
//	secure  seal(preamble, 48 bytes of segment 0) 96 | seal(rest of segment 0)
//	        | seal(segments 1…3 padded to 16, epilogue 16)
//
// Invariants:
//
//	I1  Nothing is allocated for a body before its first 16 KiB, or all of it,
//	    are there.
//	I2  No nonce seals two blocks; a Writer fails before that.
//	I3  Any input gives a frame or an error wrapping ErrBad, ErrIncompatible or
//	    the stream's, never a panic.
//	I4  What parses assembles to the same bytes.
//
// Reader and Writer are for one goroutine each. The format was read off bytes
// captured from Ceph 16.2; they are in cluster/testdata/wire.
package frame
