// Package image is "ebofs image": it saves the structure of a store into a file,
// names scrambled and contents left out, and makes a store of such a file again.
// What that means is package ebofs/image's affair; this one opens, judges and
// reports. A file appears under its name when it is whole, a restored store when its
// last block is written.
package image
