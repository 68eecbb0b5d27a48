// Package blockmap is the verb "map": a picture of what the blocks of a store's
// device are used for. It reads the newest checkpoint: zone bitmaps say which
// blocks are used, a walk over the trees which of these are nodes; the rest is
// data. Nothing is written, and the log is not replayed.
//
// Memory: 24 bytes a tree node, one zone bitmap at a time.
package blockmap
