// Package outage kills the monitor and the OSD of a cluster, as processes, while
// clients work on it, and looks at what the clients see. load.py is some of the
// clients, through librados; fio over librbd is another, which verifies for itself.
//
//	SIGKILL ── restart ── clients go on by themselves ── … ── every acknowledged
//	change is read back, once, by a client that was not there before
//
// While the monitor is dead clients read and write; when it is back it answers.
package outage
