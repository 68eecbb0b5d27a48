// Package admin is the verb "admin": it asks a running process through its admin
// socket, ours or one of Ceph's. Package internal/asok has the protocol.
package admin
