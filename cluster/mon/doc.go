// Package mon is the monitor: it keeps the maps of the cluster, decides their
// changes, hands them to whoever subscribes, lets entities in, and answers the
// commands of `ceph`. It keeps nothing itself: all that must last is in
// cluster/quorum, and any number of monitors on one quorum are the same monitor.
//
// Nouns. The State is everything the quorum holds, decoded, as of one revision; it
// is never changed. A Change is made from a State and becomes one transaction; if
// somebody was quicker it is made again from the newer State. A session is a
// peer's connection with its subscriptions. Statistics of PGs and OSDs are in RAM
// alone: the OSDs report them again.
//
//	command, boot, failure ── Change ──▶ quorum ── watch ──▶ State ──▶ sessions
//
// Invariants:
//
//	I1  A command that changes something is answered after the State has it.
//	I2  Map epochs follow each other; epoch n+1 is n with one increment, and the
//	    increment has the checksum of the full map it gives.
//	I3  What a session may do is decided for each message and command by its caps;
//	    what no table allows is refused.
//
// Several monitors share what OSDs tell one of them: each hands statistics, beacons
// and reports of failures on to the others (msg.MonPeer), which is a sign of life as
// well. There is no leader: what is written goes through the quorum's transactions,
// and whoever is first wins.
//
// Goroutines: one follows the quorum, one keeps time (down OSDs, keys, mutes), one
// looks at what statistics ask for, one keeps in touch with the other monitors,
// commands run on their own, so many at once. Lock order: Monitor.mu, session.mu;
// the locks of peers and of statistics are held alone.
package mon
