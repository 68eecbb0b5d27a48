// Package local is a whole cluster in one process and one directory, on loopback:
// a monitor and OSDs on image files, with the configuration and keyring that stock
// clients need. It is what the demo shows and what tests of real clients run against.
//
//	DIR/ceph.conf  DIR/keyring  DIR/mon.a/…  DIR/osd.0.img …
//
// The configuration names everything, so that the daemons may as well run in
// processes of their own: ebofs mon -c DIR/ceph.conf -i a, ebofs osd -c DIR/ceph.conf
// -i 0. A directory that holds a cluster goes on with it.
//
// A Cluster is used by one goroutine at a time.
package local
