// Package pgfile carries a placement group from one store to another as a file: all
// of its objects with data, attributes and omap, its log and what it knows of
// itself, which lie in such an object too. Neither store is used by a daemon.
//
//	header | object, its parts … | object, its parts … | … | end
//
// Invariants:
//
//	I1  A file without its end, or with any record damaged, lost, repeated or moved,
//	    is refused.
//	I2  Import makes a PG or none. Until it is whole its objects lie in a collection
//	    of phase pg.Importing, which it removes when it fails; what a kill leaves is
//	    removed by the next Import or by pg.Remove.
//	I3  A store takes PGs of its own cluster alone.
//	I4  Neither direction has more than a record and a transaction in RAM, whatever a
//	    file says; a record is at most MaxRecord.
//
// Clones of an object are objects of their own in the file, and blocks that they
// shared are not shared any more in the new store.
//
// No locks, no goroutines. Durable is what Import returned nil for. The format is in
// docs/format/pgfile.md.
package pgfile
