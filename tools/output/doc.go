// Package output writes the files that verbs make beside their result on stdout:
// objects, pictures, images of a store's structure, pages. Its one concern is
// that a slip in a file's name costs nobody a store, and a full disk nobody the
// file that was there before.
//
//	Create   begins a file; Done ends it under its name, or leaves no trace
//	Write    both, for content that is at hand
//	Check    whether Create will refuse
//
// Invariants:
//
//	I1  What is at the name stays whole until the new content is durable.
//	I2  A block device, a file that holds a mark of a store, a file that a loop
//	    device or swap uses and whatever the verb itself works on are never written
//	    over. No flag changes that.
//	I3  Symbolic links stay; what they lead to is replaced, or refused.
//	I4  Errors name the file that was asked for.
//
// A file appears by a rename of a hidden one beside it, which a killed process may
// leave behind. Pipes, terminals and names of open descriptors (/dev/stdout) are
// written as they are. There are no goroutines and no locks here.
package output
