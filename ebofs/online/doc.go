// Package online is what a process that has a store lets others ask of it: the
// commands "store …" of its admin socket, and a check of the store while it is in
// use. A tool that imports and a daemon offer the same ones.
//
//	store status | free        what it is and how full
//	store check start | status | cancel
//	perf dump                  the engine's counters
//	config show                the options in force
//	log level                  what is logged, and to change that
//
// A check is a job: one at a time, polled by whoever started it. It pins the newest
// checkpoint and checks that from the device, slowly; when space gets short and the
// pin expires, it pins a newer one and goes on where it was.
//
//	idle ── start ──▶ running ── end ──▶ done      the report is whole
//	                     │
//	                     └── cancel, lease over, process ends, no progress ──▶ stopped
//	                                               the report is what was found so far
//
// Invariants:
//
//	O1  A check changes nothing about the store but when it checkpoints, and never
//	    makes an operation fail.
//	O2  A check nobody asks about for its lease is stopped: whoever wanted it is gone.
//	O3  What was checked at which epoch is in the report, as is the Position where
//	    another check can go on, in this process or the next.
//
// Locks: Commands.mu guards the job and is held across no I/O. A check runs on a
// goroutine of its own; Close stops it and waits for it. Nothing here is durable.
package online
