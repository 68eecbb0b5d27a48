// Package sdnotify tells the service manager how a daemon is: that it is ready,
// what it is doing, that it is alive. It speaks systemd's protocol: one datagram
// of NAME=VALUE lines to the unix socket that NOTIFY_SOCKET names. Where that is not
// set, nobody listens and every function does nothing.
//
//	start ── ExtendTimeout… ──▶ Ready ── Status, Alive… ──▶ Stopping ── exit
//	                              ▲ │
//	                              └─┴ Reloading, on SIGHUP; Ready when done
//
// Invariants:
//
//	I1  One call is one datagram: what it says is taken whole or not at all.
//	I2  A service manager that does not listen costs a second at most and the
//	    daemon nothing else.
//
// No locks, no goroutines; all functions may run at once. A unit for this has
// Type=notify, and ExecReload= with a signal: the clock value that Type=notify-reload
// wants is not sent. Tried under systemd 252: start, status, reload, watchdog, stop.
package sdnotify
