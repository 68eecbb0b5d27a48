// Package group joins puts that come while another is under way into one commit, as
// everything does that is durable and quick. Programs that measure use it, for what an
// engine can cost least, and for stores that do not do it by themselves.
//
//	entry   a put that waits for others to be made durable with it
//	batch   the entries of one commit, in the order they came
//
// # Locks and goroutines
//
// A mutex guards who waits. Whoever comes first leads: it commits what waits, its own at the
// head, and hands on to the first of those who came meanwhile. So there is no goroutine but
// the callers', and a lone caller never waits for one.
package group
