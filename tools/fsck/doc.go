// Package fsck checks a store: the verb "fsck", also called fsck.ebofs. In this
// release it only checks; package ebofs/check does the work and never writes.
package fsck
