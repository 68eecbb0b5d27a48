// Package osdmap holds the map of OSDs, pools and exceptions from which everybody
// computes where an object is: full maps, increments from one epoch to the next,
// and the way from an object's name to the OSDs that serve it. It decides nothing
// about the cluster; that is the monitor's.
//
// Nouns. A Map is the map of one epoch, an Incremental what changed since the one
// before. A Pool is as clients and OSDs know it. raw is what CRUSH says of a PG;
// the up set is that after the upmap exceptions, without OSDs that are down; the
// acting set is up unless the PG has a temporary mapping.
//
//	object ──hash──▶ PG ──CRUSH──▶ raw ──upmap──▶ up ──pg_temp──▶ acting
//
// Invariants:
//
//	I1  Every list by OSD of a Map has MaxOSD entries; Affinity has none or all.
//	    Decode and Apply see to it.
//	I2  Bytes that Ceph 16.2 wrote decode and encode to the same bytes, their
//	    checksums included, and Apply of an increment gives the bytes of the next
//	    full map: OSDs compare.
//	I3  Apply changes nothing if it fails.
//
// A Map is plain data, for one goroutine at a time; a Placer is immutable.
package osdmap
