// Package differ compares this project's cluster with Ceph's: the same operations
// through the same librados against both, and every result the same.
//
// A script (testdata/*.txt) is cases of operations with the results that Ceph
// 16.2.15 gave, which is how it reads:
//
//	case trunc/shrink
//	full o abcdefgh
//	= 0 v+0
//	trunc o 3
//	= 0 v+1
//
// ops.py carries operations out, through librados, one a line, and answers a line
// each. A result is the return value (errors by name), how far the version is from
// the first of its case, and what was read; long bytes by length and digest. Each
// case has a namespace of its own, so that what it lists is its own. Words:
//
//	write append full same trunc rm read stat cmpext sum hint   data of an object
//	setx getx rmx listx                                         its attributes
//	w o OPERATION ; OPERATION …                               several as one write, omap among them
//	r o OPERATION ; OPERATION …                               several as one read
//	exec o CLASS METHOD INPUT                                   methods of object classes
//	lock unlock breaklock lockers                               locks
//	watch unwatch watchcheck events notify                      watches and notifies
//	ls pages                                                    listings, by position and by cursor
//	mksnap rmsnap lssnap snapid rollback                        snapshots of a pool
//	ssnew ssrm ssrollback snapc snapread                        snapshots of clients
//	as pool ns loc                                              which client, pool, namespace, locator follows
//
// Bytes are @rand:SEED:LENGTH, @fill:TEXT:LENGTH, @hex:DIGITS or the text itself.
//
// The results are taken from a real cluster, which needs Ceph's daemons, with
//
//	go test ./fuzz/differ -run TestScripts -rewrite
//
// and the diff of testdata is the review. What differs on purpose stands in
// docs/differences.md with its reason, and nothing else may.
package differ
