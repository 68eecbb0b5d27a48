// Package clients has Ceph's own programs use a cluster of this project: rados, rbd,
// ceph, and fio through librados and librbd. Each is run as a user would, over every
// kind of authentication and connection, and what it prints, reads back and exits
// with is looked at. That the answers are also Ceph's own is what fuzz/differ is for.
package clients
