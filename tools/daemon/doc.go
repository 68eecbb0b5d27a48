// Package daemon puts a monitor or an OSD together from its configuration, and runs
// one in the foreground of a process: admin socket, signals, the service manager.
//
//	conf.Config ── OpenMonitor ──▶ Monitor      mon_data: cluster.json keyring store
//	            ── OpenOSD     ──▶ OSD          osd_data: keyring block
//	            ── Run         ──▶ until it is told to end
//
// Nouns. A data directory belongs to one daemon at a time, by a lock on it. The seed
// of a monitor (cluster.json and keyring) says which cluster it was made for; it
// makes that cluster when it finds nothing at its first start, and never later: a
// store that has lost its state is an error, not a new cluster.
//
// Several daemons may live in one process: nothing here is global. Close ends what
// Open started, in the reverse order.
package daemon
