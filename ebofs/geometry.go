package ebofs

import (
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// GeometryChanged says what is wrong with a store of sb on a device that now reports
// g: whole stripes of the store are no longer whole ones of the device. "" if
// nothing is. What mkfs recorded stays in force; a device that reports less than it
// did costs nothing.
func GeometryChanged(g devices.Geometry, sb *layout.Superblock) string {
	have := uint64(g.StripeBytes)
	if !g.Hard || have == 0 || sb.Hard() && uint64(sb.StripeBytes)%have == 0 && sb.AlignBytes%have == g.AlignBytes%have {
		return ""
	}
	kind := "soft"
	if sb.Hard() {
		kind = "hard"
	}
	return fmt.Sprintf("the device reports hard stripes of %d bytes from byte %d on, the store was made for %s ones of %d bytes from %d on: its writes cost reads, unless mkfs was told better",
		g.StripeBytes, g.AlignBytes, kind, sb.StripeBytes, sb.AlignBytes)
}
