// Package interop tries our daemons in a cluster of Ceph's own: an OSD of ours with
// the monitor, the manager, OSDs and clients of release 16.2, over cephx. It is all
// tests; docs/interop.md says what they found.
//
// Nouns. A cluster is Ceph's daemons on files of a directory. The child is an OSD
// of ours, in a process that can be killed.
//
//	test binary ── network namespace ──▶ test binary ── ceph-mon, ceph-mgr, ceph-osd
//	                                          └──────── child: our OSD on an image
//
// Everything runs in a network and process namespace of its own: ports are free,
// and whatever is left over ends with it. That takes root, and Debian's packages
// of Ceph; without them the tests are skipped.
package interop
