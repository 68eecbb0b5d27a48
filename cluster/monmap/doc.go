// Package monmap is the map of the monitors: who they are, where they listen,
// and what the cluster agreed on about them. It is data with an encoding; how
// monitors agree is cluster/quorum's business.
//
// Invariants:
//
//	I1  Every rank names a monitor of the map, every monitor has one rank.
//	I2  What decodes encodes to the same bytes again.
//
// The layout is Ceph 16.2's MonMap v9, checked against captured bytes.
package monmap
