// Package pg is a placement group as its primary runs it: the order of requests
// on each object, the log by which a repeated request is known, versions,
// watches and notifies, statistics. It has the objects in a collection of an
// osd.ObjectStore and does to them what osd/ops says; maps, sessions and caps are
// its caller's. Pools of one copy only: there is no peering yet.
//
// Nouns. A slot is an object in use: its State and the requests that wait for it.
// The log is the newest requests that changed something, failed ones included,
// kept in the omap of the PG's meta object. Of older ones there are dups: what a
// repeated request is told. A session is a client's connection.
//
//	Submit ── dup? ── slot ──▶ ops.Run ──▶ Seal, Queue ──▶ committed ──▶ reply, effects
//	            │      │ reads share it, writes follow each other
//	            ▼      ▼ a read waits until the write before it is committed
//	          reply   wait
//
// Invariants:
//
//	I1  Requests on one object happen in the order of Submit.
//	I2  A request that writes is in the log, in the same transaction as its
//	    changes; one that is in the log is answered from it, after it is durable.
//	    Only then it may be trimmed, and the same transaction has its dup.
//	I3  Versions in the log follow each other without a gap; the order of
//	    transactions in the store is theirs.
//	I4  No read returns what is not committed.
//	I5  The newest entry of the log has the PG's statistics.
//
// Lock order: PG.mu, then the store's. PG.mu is held while a transaction is
// queued, not while the store is read. Reads, and writes that have to read first,
// run on goroutines of their own, which Close waits for; timers of watches and
// notifies come from Config.After.
//
// Durable: what was replied to. A crash may keep more, each request whole.
package pg
