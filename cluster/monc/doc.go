// Package monc is a daemon's or client's side of its session with the monitors:
// it finds one that answers, logs in, keeps subscriptions going over resets, runs
// commands, and keeps tickets and rotating keys fresh. What to do with maps is its
// user's.
//
// Nouns. The Client has one session at a time; a subscription is a map from a
// version on; a command waits for its answer, over resets too.
//
//	Client ── dial, log in ──▶ session ── reset ──▶ the next monitor, subscriptions and commands again
//
// Invariants:
//
//	I1  After a reset everything that was asked for and not answered is asked for
//	    again.
//	I2  Handlers are called one after the other, by the session's driver.
//
// Goroutines: one keeps the session and the keys; Close ends it. Lock order:
// Client.mu alone.
package monc
