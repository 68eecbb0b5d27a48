package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
)

// Profiles of erasure codes are shown; there is nothing yet that would use another.
func init() {
	add("osd", "r", "osd erasure-code-profile ls", "list profiles of erasure codes", cmdProfiles)
	add("osd", "r", "osd erasure-code-profile get name:CephString=[A-Za-z0-9-_.]", "show a profile of erasure codes", cmdProfile)
}

func cmdProfiles(c *call) error {
	names := list(slices.Sorted(maps.Keys(c.st.OSD.Profiles)))
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdProfile(c *call) error {
	name, _ := c.str("name")
	p, ok := c.st.OSD.Profiles[name]
	if !ok {
		return fail(ceph.ENOENT, "unknown erasure code profile '%s'", name)
	}
	return c.print(p, func() string {
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(p)) {
			fmt.Fprintf(&b, "%s=%s\n", k, p[k])
		}
		return b.String()
	})
}
