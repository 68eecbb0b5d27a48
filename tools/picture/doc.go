// Package picture draws what the blocks of a device are used for: in a
// terminal, with or without colour, and as a PNG.
//
//	| cells in reading order         | beside them                 |
//	| @@==========##########::......  | legend, shares              |
//	| ....++##//....                  | free runs, largest, score   |
//
// A Map is filled with extents by kind and divides the device into equal cells.
// A cell's colour blends what it holds; its character tells the kinds apart
// without colour: @ label or superblock, = log, + tree node, # and : data (at
// least half of the cell, less), / limbo, ! damaged, . free.
//
//	I1  Every block of an Add counts in exactly one cell.
//	I2  Free extents are added in ascending order; neighbours are one run.
//	I3  One damaged block, else one label block, decides a cell's character: what
//	    is rare and matters is never averaged away.
//
// A Map is filled by one goroutine. Nothing here does I/O but to the writer given.
package picture
