// Package devicetest is the contract of devices.Device as a test: every
// implementation and every wrapper passes Run. It also makes images and loop
// devices for tests of packages above.
//
// # Nouns
//
//	config  how to make, reopen and crash the device under test
//	tag     the content of a block in these tests: it names the block and the
//	        generation of the write, so that a stale or misplaced block shows
//
// # Locks and goroutines
//
// Tests start goroutines and wait for them. Loop devices belong to the test
// that made them and go with it, or when its process dies.
package devicetest
