// Package full fills stores to the last block and looks what is left of the
// promises: everything acknowledged is there after a crash, what frees space
// still works, and an emptied store is as large as a fresh one.
//
// Nouns: a filler is a way of using up a store: large objects, small ones, attrs,
// omap, appends, a mixture. A run fills, crashes, mounts, thins out, fills again,
// crashes again, and empties.
//
// Invariants, the tests': I1: a refused transaction changed nothing; the
// reference store is not given it. I2: a run is a function of its filler and seed.
//
// Locks: none; a run belongs to one goroutine. The package is tests only, and what
// it relies on is specified in the packages it tests.
package full
