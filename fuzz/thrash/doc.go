// Package thrash runs the unmodified ebofs program on a disk that loses power
// and kills it while it works, cycle after cycle on the same store.
//
//	ebofs ── /dev/loopN ── faultfs ── crashdev ── memory
//
// A cycle starts an import that goes on where the last one ended, and stops it
// at a random object:
//
//	kill   SIGKILL; the disk keeps everything
//	cut    the power goes first: of the writes no flush covers some are lost,
//	       some kept, some torn
//
// Then deep fsck must find nothing and every object the import reported must be
// there with its bytes. It is tests only; what they find names a seed.
package thrash
