// Package pg is the verb "pg": the placement groups of a stopped store. It shows
// what they hold and what they say of themselves, carries one to another store as a
// file, and removes one.
//
// Invariants:
//
//	I1  Nothing a daemon would take for a PG is ever less than one: an import comes to
//	    be and a removal begins in one transaction (osd/pgfile, osd/pg).
//	I2  Nothing is removed without --force, and nothing is replaced.
//
// What it is for: docs/ops/add-or-replace-disk.md.
//
// No goroutines of its own. Durable is what it reports as done.
package pg
