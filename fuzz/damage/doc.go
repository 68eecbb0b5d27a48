// Package damage damages every kind of block of a store in every way and records
// who notices, and how far the damage reaches. The table in testdata is the
// answer; a change of it is a change of what the store promises.
//
// Nouns:
//
//	zoo      a small store with every class of block in it, closed, or left with a
//	         log that is needed
//	class    what a block is for: a row of the table
//	way      how a block is damaged: a column
//	image    the zoo with one block damaged in one way
//	verdict  who found an image's damage, what it was contained to, and what it was
//	         repaired from
//
// Each image is opened for reading, read as a whole and checked; a sample is then
// mounted for writing, written to everywhere, closed and read again; and one or two of
// each cell are repaired, checked, read, and taken back with the undo file.
//
// Invariants, the tests':
//
//	I1  No read returns wrong bytes: before and after writing on, each object is
//	    what it was, or what was written, or an error. Only a block forged with a
//	    right checksum may be believed, and the table says so.
//	I2  Nothing panics and nothing hangs.
//	I3  What fails a read or a mount is found by fsck.
//	I4  A damaged log may lose transactions from its end only if it looks like a
//	    torn tail, and then the state is one the store was in.
//	I5  After a repair a deep check finds nothing but marks, no object that could be
//	    read has changed, and the undo file brings back the image byte for byte. A
//	    repair that is refused changes nothing for good either.
//
// Locks: images share nothing but the zoo, which does not change.
//
// The trash tree and inner nodes of the refs tree are missing among the classes: they
// take more entries than a store has that is read as a whole thirty thousand times.
// Package repair damages those.
package damage
