// Package daemon is an OSD: it puts a store, PGs and sessions together. It logs in
// to the monitors, says where it is, follows the OSD map, makes and opens the PGs
// it is primary of, hands clients' requests to them, and reports. Pools of one copy
// only: a PG of a larger pool is served while this OSD is its only one, and never
// copied elsewhere.
//
// Nouns. The placement of an epoch says which PGs are here. A session is a client's
// connection with its caps. The meta collection holds who the store belongs to.
//
//	client ── osd_op ──▶ session: caps ──▶ map: is it here? ──▶ osd/pg ──▶ reply
//	monitor ── osd_map ──▶ placement ──▶ make, open, close PGs
//
// Invariants:
//
//	I1  A request is done only if the map that this OSD has puts its PG here; one
//	    that is newer waits, one for another OSD is dropped, for the client asks
//	    again when it has the map.
//	I2  Requests of one session on one object reach their PG in order: those that
//	    waited for a map or a PG before any that comes later.
//	I3  A store serves the cluster and the OSD id it was made for, and no other.
//
// In the background, one PG at a time: what deleted snapshots have kept is trimmed,
// and PGs are scrubbed. A PG of a pool that has more PGs than before is split as its
// map is taken over. A request of a client is followed by osd/track; what is known
// of it, and the rest of what operators ask, is in Commands.
//
// Goroutines: one follows the maps, one keeps time, one trims, one
// scrubs, one watches other OSDs, and one runs for each command told. Lock order: OSD.mu, then those
// of PGs.
package daemon
