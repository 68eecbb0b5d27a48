// Package perf measures without disturbing what it measures: histograms of
// latencies and sizes that any number of goroutines record into. The bench
// command and the metrics of every package use the same type, so that their
// figures mean the same.
//
// A histogram has one bucket per value below 16 and, above, 16 buckets of equal
// width for every power of two:
//
//	value   0 1 … 15 | 16 17 … 31 | 32-33 … 62-63 | 64-67 … | … 2^63
//	bucket  0 1 … 15 | 16 17 … 31 | 32    … 47    | 48    … | … 975
//
// Invariants:
//
//	I1  The bounds of a bucket differ by less than 1/16 of the lower one: a
//	    quantile is never further off than 6.25 %, at any magnitude.
//	I2  Record, from any number of goroutines, takes no lock, allocates nothing
//	    and loses nothing.
//	I3  Sum is exact (modulo 2^64); Count is exact.
//
// Locks: none. A Snapshot taken while others record holds every value recorded
// before it began, and may or may not hold those recorded during it. Nothing is
// durable and nothing leaves the process.
package perf
