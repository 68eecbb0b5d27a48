// Package conf reads ceph.conf, the file that daemons and clients share, and says
// what each option of a daemon is and where that value came from.
//
// Nouns. A File is what a text says, section by section. An Option is one that our
// daemons know: name, kind, default. A Config is the options of one entity: the
// later of these sources wins
//
//	default, central database, file, environment, command line, override
//
// Keys may be written with blanks, underscores or dashes. Of the sections the
// entity's own ([osd.3]) wins over its type's ([osd]), that over [global]; within a
// section the last line does. Values may name $cluster, $type, $id, $name, $host,
// $pid, $fsid and other options.
//
// Invariants:
//
//	I1  A value that does not fit its option is an error that names file and line.
//	I2  Secrets are shown as [redacted].
//	I3  Any text gives a File or an error, never a panic; an included file cannot
//	    include itself.
//
// A Config may be used from many goroutines. The syntax is Ceph 16.2's.
package conf
