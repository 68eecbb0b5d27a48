// Package ebofsstore is osd.ObjectStore on an ebofs.Store: it maps ids, steps of
// transactions and errors, and nothing else. It is the only package that knows
// both sides.
//
// Nouns: collections and objects have the same name and order on both sides, so
// that ids convert without allocation.
//
// Invariants: I1: every error is one of ebofs's with the matching sentinel of osd
// added; its text is unchanged.
//
// Locks, goroutines, durability and format are those of package ebofs.
package ebofsstore
