// Package layout is the on-disk format of a store: every structure except btree
// nodes (package btree) and WAL batches (package ebofs/wal), and where on a device
// each of them lies. It encodes, decodes and verifies bytes; it does no I/O, holds
// no locks and keeps no state.
//
//	block 0        Label, copies 3 MiB behind 1, 10, 100 and 1000 GiB
//	3, 4 MiB       Superblock slots H0, H1
//	5 MiB …        WAL ring, unless a log device has it
//	…              zones: tree nodes, data, and the blobs named below
//	end−4, −3 MiB  Superblock slots Z0, Z1
//
//	Superblock → RootRecord → trees: collections (Cnode), objects (Onode), trash (Trash)
//	                        → ZoneTable → ZoneBitmap
//	                        → SpaceLog
//	Onode → trees: attrs, omap, extents (Chunk) → data blocks
//
// Nouns: an Addr names a block of the store, an Extent a run of them. A Ref is a
// parent's pointer to a structure with a Header; Self is what that structure says
// of itself. A chunk maps 64 logical blocks of an object. An ObjectKey names an
// object; a CollRange is the range of keys that makes a collection.
//
// Invariants:
//
//	L1  Everything is little-endian, except integers inside keys of trees, which
//	    are big-endian so that keys sort as bytes.
//	L2  Every structure begins with a magic or type, a version, the lowest version
//	    of a program that may read it and, where it can grow, a length. A released
//	    layout is only ever extended.
//	L3  Every structure that has blocks of its own carries the store's id, its own
//	    address, its epoch and a CRC-32C, and its parent repeats address, epoch and
//	    CRC. Ref.Verify compares all of them before a field is used.
//	L4  What an encoder accepts, the decoder accepts, and gives back equal; both
//	    make the same check.
//	L5  A decoder never panics and allocates no more than 16 times its input plus
//	    1 MiB, whatever the input.
//	L6  Sections of a newer version are kept when a value is written again, unless
//	    they say that they must be understood.
//	L7  No superblock slot lies within 2 MiB of either end of a device.
//
// All functions may be called concurrently on different values. Decoded values may
// alias the bytes they came from where their comment says so.
//
// docs/format has a page for each structure with the reasons and annotated bytes.
package layout
