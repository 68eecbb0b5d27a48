// Package bench measures an engine beside the raw device it runs on, in the
// same run: `ebofs device bench DEV`. It overwrites the device; whether that is
// allowed is decided by whoever opens it.
//
//	workload   what is measured: write4k, randread4k, write4m, …
//	depth      how many callers, each with one call at a time
//	raw        what the device itself does for the same bytes, same depth, with
//	           memory of ordinary pages, as the engine's callers have here
//	slice      one stretch of time of either; raw and engine take turns
//
// # Layout
//
//	0                                              7/8           1 of Bytes
//	| scratch store: log 1/8, objects "a" and "b"   | raw writes |
//
// Everything is written once before anything is measured, so that no file
// system below an image allocates during a slice.
//
// # What stands beside what
//
//	write4k      durable 4 KiB overwrites at random places of 4 MiB objects;
//	             raw: 8 KiB (what a log must write) and a flush for each
//	group4k      the same; raw: a bare group commit, all 4 KiB that wait one after
//	             the other, with one flush, neither indexed nor summed
//	randread4k   4 KiB of the same objects with a small cache; raw: 4 KiB reads
//	write4m      durable overwrites of whole objects; raw: 4 MiB and a flush
//	read4m       whole objects with a small cache; raw: 4 MiB reads
//	create       empty objects with two attributes; raw: as write4k
//	omap_set     16 pairs of 100 bytes a call; raw: as write4k, 16 for each
//	omap_get     one pair, hot; raw: 4 KiB reads
//	omap_iter    1,000 pairs a call, hot; raw: 4 KiB reads
//	omap_rmrange all pairs of an object a call; raw: as write4k
//
// Operations are writes, reads, objects, pairs, and ranges; latencies are those
// of a call. CPU is user and system time of the whole process, device bytes and
// flushes are counted at the device, and all three include the checkpoint that
// ends each slice that wrote: nothing is left for later. Rates do not.
//
// # Old stores
//
// Age (`ebofs device age DEV`) has two stores on the device, and the rest for raw I/O:
//
//	0                         5/8            7/8           1 of Bytes
//	| store that is aged       | fresh store  | raw         |
//
// One is filled and then used by a mix of operations until its space was written
// several times over; the other holds the objects that are measured and nothing
// else. Both have them, a sixteenth of Bytes, and logs of one size. Then raw, fresh and
// aged take turns at each cell; the checkpoint that ends a turn of writes counts in
// rates too.
//
// Callers are goroutines of this package; all have ended when Run returns. The
// caches and locks are the engine's. The scratch store is closed cleanly and
// stays on the device; an interrupted run leaves a store or none.
package bench
