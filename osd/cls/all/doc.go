// Package all has the object classes of an OSD: whoever imports it has them
// registered. It has nothing else.
//
//	import _ "ebofs/osd/cls/all"
//
// Classes of gateways and file systems (rgw, journal, cephfs, …) are not here:
// their methods answer EOPNOTSUPP, as on an OSD that may not load them.
package all
