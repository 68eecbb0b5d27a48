// Package crush decides where data lies: it maps a number to a list of devices
// by a tree of weights and a rule, the same list for everybody who has the same
// map. It also reads, writes, prints, builds and checks such maps. It knows no
// OSD map, no pool and no monitor; reweights come in as a plain list.
//
// Nouns. A Map is plain data, as it lies in an OSD map. A Bucket is an inner node
// of its tree, an item of a bucket is a bucket (id < 0) or a device (id >= 0). A
// Rule is a list of Steps. ChooseArgs replace weights and ids of buckets for one
// pool. A shadow bucket "B~c" is what remains of B with devices of class c only.
// A Mapper is a Map made ready, a Work the scratch memory of one mapping.
//
//	Decode ─┐           ┌─ Encode          binary, as in an OSD map
//	Compile ─┼─▶ Map ───┼─ Decompile       text
//	FromJSON ┤    │     ├─ Dump().JSON     as "ceph osd crush dump"
//	FromXML ─┘    │     └─ Dump().XML
//	              ▼
//	          NewMapper ──▶ Mapper.Map(work, request) ──▶ devices
//
// Invariants:
//
//	I1  Every bucket that Check accepts has the lists its algorithm needs, so that
//	    a mapping never leaves them. All decoders and NewMapper check.
//	I2  A mapping draws from at most MaxDraws buckets, whatever the map, the rule
//	    and the number of devices that are out; what it then has is the result,
//	    reported as short and cut.
//	I3  A Mapper is never changed: any number of goroutines may map with it, each
//	    with a Work of its own. A mapping allocates nothing once its Work is warm.
//	I4  Bytes that Ceph 16.2 wrote decode and encode to the same bytes.
//
// The hash, the logarithm table, the straw lengths and the order of draws are part
// of the format: real clients compute the same lists.
package crush
