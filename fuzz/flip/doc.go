// Package flip changes single bytes of a store's device and looks whether anybody
// is deceived: a reader must get what was written or an error, fsck must name the
// damage or the byte must lie in space that nothing uses.
//
// Nouns: a place is one byte of the image and what it is changed to; the verdict
// of a place is what readers and fsck made of it.
//
// Invariants, the tests':
//
//	I1  No read returns wrong bytes, a wrong size, a wrong attr, or leaves an
//	    object out of a listing; what fails, fails as corrupt.
//	I2  Nothing panics, neither while mounting nor while writing on.
//	I3  If fsck finds nothing, then it also finds nothing with the whole block of
//	    that byte destroyed: the block is in no use. The unused end of the last
//	    block of a long value is the one exception.
//	I4  A byte in the log of a store that was not closed may take the end of the
//	    log with it, which looks like a torn tail; then the state is one that the
//	    store was in.
//
// Locks: none. The package is tests only; formats are specified in docs/format.
package flip
