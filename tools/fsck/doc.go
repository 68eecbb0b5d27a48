// Package fsck checks a store and repairs it: the verb "fsck", also called
// fsck.ebofs. Package ebofs/check does the checking and never writes; package
// ebofs/repair does the rest.
package fsck
