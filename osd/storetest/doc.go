// Package storetest is the contract of osd.ObjectStore as tests: every
// implementation passes Run and RunModel, and one that does may be used as a
// fake for another.
//
// Nouns: a Factory makes stores; a Handle is one of them with what can be done
// to it from outside. A model is the contract in plain maps and byte slices,
// independent of any store. A pair is a store and a model that were given the
// same transactions. A script is a list of lines of text, one transaction or
// other step a line, from which RunModel makes, repeats and shrinks its runs:
//
//	txn mkcoll c0 -1 1 0 0x0
//	txn write c0 o3 4095 2 #77; setattrs c0 o3 a1:300#78
//	reopen
//
// Invariants of the tests: I1: an expected error leaves the state as the model
// has it; that is compared, not assumed. I2: all randomness is drawn from a seed
// that a failure prints. I3: bytes handed to a store are never changed, and are
// compared at the end with what they were.
//
// Locks: a pair belongs to one goroutine. Nothing is durable here; what is
// durable when is stated at osd.ObjectStore and tried by reopening.
package storetest
