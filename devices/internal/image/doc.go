// Package image is a sparse array of 4 KiB blocks with copies in constant
// time. It is what memory devices and crash states store their blocks in; it
// is not a device and does no locking.
//
// An image is a radix tree of 64-way nodes over immutable pages:
//
//	root ─ inner ─ … ─ bottom ─ page, page, …
//	         ╲ shared with clones until written
//
// Every node names the image that may change it in place (its owner). Clone
// gives both images new identities, so that all existing nodes become shared
// and the next write copies the path to its block: about 1.5 KiB a level.
//
//	I1  A node or page whose owner is not the writing image is never changed.
//	I2  In a tracked image, the sum of a node is the exclusive or of the sums
//	    below it, and Hash is the root's.
//	I3  Equal contents have equal hashes: zeros count as absent.
package image
