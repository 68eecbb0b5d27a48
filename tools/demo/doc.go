// Package demo is the verb "demo": the main job from an empty image to a
// checked store, in about a minute and without configuration.
//
//	1  make an image; as root, a loop device over it, so that a real block
//	   device with direct I/O is used
//	2  mkfs
//	3  import a source tree by a child process; kill -9 it half-way
//	4  mount again, timed
//	5  compare every acknowledged object with its SHA-256
//	6  finish the import, compare again
//	7  deep fsck, map, what to try next
//
// Everything lies in one directory, ./ebofs-demo, with a marker file; only a
// directory with that marker is ever emptied or removed. The loop device is
// set to vanish with its last user, so that it does not outlive the demo even
// if that is killed.
package demo
