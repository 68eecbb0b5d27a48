// Package verbs is the one table of everything the ebofs program does, and the
// dispatch to it: by argv[0] (mkfs.ebofs, fsck.ebofs), else by the first word.
// Parsing, help, man pages and completion all read this table.
package verbs
