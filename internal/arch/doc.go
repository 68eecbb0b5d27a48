// Package arch holds the module to its own picture: who may import whom, what
// deciding packages must not touch, and that everything exported is explained.
// It reads source only; nothing imports it, and its one test is how it runs.
//
// Nouns: a package is a directory with Go files, named by its path from the
// root of the module. A rule is a row of the table in table.go: a pattern of
// packages, what they may import of this module and which other modules they
// may use. A finding is one sentence that names file and line.
//
//	tools  fuzz
//	osd
//	ebofs
//	allocator  btree
//	devices
//	internal             on the standard library, and the kernel's calls
//
// Invariants:
//
//	I1  Imports point down this picture only, and the first row that matches a
//	    package decides. A package no row knows is itself a finding, so that
//	    where something belongs is said in the commit that adds it.
//	I2  Tests may in addition use the suites and fakes listed in testOnly.
//	I3  Packages marked pure read no clock, draw no random number from the
//	    process-wide source, start no goroutine and do no I/O.
//	I4  tools/ebofs is the only program.
//	I5  Each package has a doc.go whose comment stands directly on the package
//	    clause; each exported constant, variable, type, function and method of
//	    an exported type has a comment, its own or that of its group; methods such as
//	    Error and String, known by their names, need none.
//
// Locks: none, no goroutines, nothing stored.
package arch
