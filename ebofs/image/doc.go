// Package image copies the structure of a store into a file and back: labels,
// superblocks, root records, zone tables and bitmaps, tree nodes, the log; never
// the bytes of an object. A store made from such an image gives fsck, dump and a
// read-only mount the same answers at the same places; its feature metadata-only
// makes a mount refuse to read data and to be written to.
//
//	labels, superblocks ─ root record ─ zone tables ─ bitmaps      as they are
//	  └ log: records            names scrambled, data zeros
//	  └ trees: nodes            names scrambled, values zeros, checksums of data
//	                            those of zeros
//
// Nouns: an entry is one item of the stream: blocks, zeros, or blocks withheld. To
// withhold a block is to say that it was there and not what was in it. A name is an
// object's namespace, key or name, a collection's id, an attribute's name, an omap
// key.
//
// Invariants:
//
//	P1  No byte of data, of a value or, unless names are asked for, of a name gets
//	    into the stream. What does not parse as metadata may be anything: of it only
//	    headers are kept, and blocks that do not even have a magic are withheld.
//	P2  A scrambled name is as long as the name. Names that are equal, or begin
//	    alike, or sort one before the other, still do: nodes keep their layout, and
//	    nothing has to be built anew.
//	P3  What had a right checksum has one, what had a wrong one has a wrong one, and
//	    a parent's copy differs from its child's if and only if it did.
//	P4  Save and Restore end, whatever the devices or the file hold: a node is read
//	    once a pass, and a reader takes at most a few MiB.
//
// Memory of Save: some 20 bytes a node and about 100 for each different name beside
// its own length.
//
// Save reads each device only. A store in use changes under it, which shows as
// damage that is not there. No goroutine outlives a call.
//
// The stream is specified in docs/format/image.md, which also lists what an image
// still tells about its store.
package image
