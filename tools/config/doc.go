// Package config is the verb "config": what the options of a daemon are, where each
// value comes from, and what is wrong with a ceph.conf. It reads files and the
// environment alone; what a running daemon was given since, by the central database
// or by hand, that daemon says (ebofs admin NAME config show).
//
// No state, no goroutines; nothing is written.
package config
