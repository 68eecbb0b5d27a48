// Package captured reads, for tests, requests of unmodified clients with the
// replies of the real OSD (cluster/testdata/ops).
//
// A scenario is one file: the requests of some commands, thinned where they repeat
// themselves. What it lacks is filled in where that can be done: who the client is
// comes from listings of locks, and bulk data of which only the beginning was kept
// goes on with a byte that is not zero.
package captured
