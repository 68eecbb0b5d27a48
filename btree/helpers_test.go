package btree

import "encoding/binary"

// fixCRC makes a changed page valid again.
func fixCRC(p []byte) {
	binary.LittleEndian.PutUint32(p[4:], pageCRC(p))
}
