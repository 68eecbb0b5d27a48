// Package hostile does to daemons what a network does: it sends garbage, holds
// connections open by the thousand, and asks for what is not allowed; and it starts
// daemons that may not start. They have to refuse it, to stay within their memory,
// and to serve their clients meanwhile.
//
// What is refused within the protocol is compared with Ceph's OSD in fuzz/differ;
// replayed tickets and connections are tests of cluster/cephx and cluster/msgr.
package hostile
