// Package wal is the write-ahead log of one store: a ring of blocks on a
// device that takes records in order and makes them durable in groups. It is
// not a journal of pages; what a record means is the business of the package
// above, which reads the records back with Scan after a crash.
//
// # Nouns
//
//	ring      Config.Start~Blocks on one device
//	batch     contiguous blocks: header, records, zero padding; written as a whole
//	filler    a batch without records that sends the reader to the ring's start
//	record    bytes of the caller with a transaction id; a long one is cut into
//	          parts that lie in consecutive batches and counts with its last part
//	group     the batches one leader writes before one flush
//	tail      position of the oldest batch still needed
//	horizon   highest batch number known committed when a batch was written
//
//	   tail                       in flight   open
//	    |                            |          |
//	    v                            v          v
//	  [b5][b6][ b7 ][b8][b9][  b10  ][b11|b12][b13...      ][free ... ]
//	   ----------- committed --------
//
// # Invariants
//
//	I1  Batches are written in order of seq, one group at a time, so no two
//	    writes overlap and a batch never counts before all earlier ones do.
//	I2  A record is committed only after its group's writes returned without
//	    error and a Flush that began afterwards did too.
//	I3  The first failed write or flush stops the log for good: that group and
//	    everything behind it gets the error, and nothing is written any more.
//	I4  No block from the tail on is overwritten; at least one block stays free,
//	    so that a full ring and an empty one look different.
//	I5  The horizon in a batch is the last batch of the group before its own. As
//	    a group is at most 2 MiB long, a committed batch is followed by its
//	    witness (a batch whose horizon covers it) within 4 MiB.
//	I6  (incarnation, seq) names one batch in the whole life of a store: the
//	    caller raises the incarnation, durably, before New, and seq only grows.
//	I7  Every append of one record is whole under the lock: a Cut never falls
//	    inside a record.
//
// # Locks and goroutines
//
// Log.mu guards the bookkeeping and is never held across device I/O or
// Config.OnCommit. The flag busy admits one leader at a time; what only a
// leader touches needs no lock. A waiter that finds no leader leads itself, so
// that a lone writer switches no goroutine. Everybody else parks; a leader that
// leaves work behind hands it to the background writer, which New starts and
// Close stops and waits for. With Config.Inline there is no goroutine: a leader
// goes on until nobody waits, and equal calls give equal I/O.
//
// # Durability
//
// What a crash may leave of the batches in flight is any mixture of blocks.
// Scan accepts the longest chain of whole batches from the tail on. A bad batch
// with a witness behind it is damage and reported as such; without one it is a
// torn tail. Batches of former laps and former incarnations are never accepted.
//
// The format is specified in docs/format/wal.md.
package wal
