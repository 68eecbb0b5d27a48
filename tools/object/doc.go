// Package object is the verb "object": the objects of a stopped store, one at a
// time, or a whole tree of files in and out.
//
// # Files as objects
//
// import makes one object of each file, directory and symbolic link below a
// directory. The object's name is the path below it, with slashes ("." is the
// directory itself); its bytes are the file's. Attributes hold what a file has
// beside its bytes:
//
//	file.mode     octal st_mode, type bits included: "100644", "040755", "120777"
//	file.mtime    seconds and nanoseconds since 1970: "1700000000.123456789"
//	file.symlink  where a symbolic link points to, byte for byte
//
// Owners, hard links, extended attributes, devices, sockets and pipes are not
// kept; the last three are reported.
//
//	I1  An object has its old bytes and attributes or all of its new ones. What is
//	    too large for one transaction is written under a temporary key, see
//	    tempOf, and takes its name in the last transaction, which also removes the
//	    old object. Temporary objects are listed and exported by nobody; the next
//	    session that writes removes those a kill has left.
//	I2  A line stands in the --acked journal only if the object it names was
//	    committed before and is not being replaced.
//	I3  export never writes outside its directory, whatever names the store holds,
//	    and replaces a file only once the object was read whole.
//
// Several files are in flight at once, each on a goroutine of its own that ends
// before the verb returns. On SIGINT no new file is begun and those in flight
// are finished.
package object
