// Package metrics is what Prometheus is told: one table of every metric, and a
// collector that can tell nothing else.
//
// Nouns. A Metric is a row of the table: name, type, labels, unit, meaning. A
// Source is what a process has: a monitor, OSDs, or both; its registry is the
// process's own and holds nothing that a library registered behind our back.
//
//	Monitor.Overview ──┐
//	OSD.Counters ──────┼──▶ collector ──▶ registry ──▶ /metrics
//	Store.Metrics ─────┘
//
// Invariants:
//
//	M1  Nothing is collected that the table does not have, with other labels or
//	    another type: the collector looks every value up, and panics in tests.
//	M2  Names, types and labels that Ceph 16.2 has are Ceph's, so that published
//	    dashboards and alerts work; ours begin with "ebofs_" and end in the unit.
//	M3  No label has unbounded values: they are daemons, pools, hosts, kinds.
//
// A scrape waits for no device: counters are read as they are. How free space
// lies costs a look at all of it, so it is looked at once in fifteen seconds.
package metrics
