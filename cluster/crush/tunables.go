package crush

// Tunables are the numbers that steer retries. They are part of the map because
// everybody has to retry alike.
type Tunables struct {
	LocalTries         uint32 // in the same bucket, after a collision
	LocalFallbackTries uint32 // by permutation, after those
	TotalTries         uint32 // descents for one position, besides the first
	DescendOnce        uint32 // 1: the search of a leaf is not repeated in place
	VaryR              uint8  // > 0: the search of a leaf depends on the try before
	Stable             uint8  // 1: a leaf does not depend on positions before it
	StrawVersion       uint8  // how straw lengths are computed
	AllowedAlgs        uint32 // bit n allows Alg n in new buckets
}

const (
	algsOld     = 1<<Uniform | 1<<List | 1<<Straw
	algsStraw2  = algsOld | 1<<Straw2
	profileNone = "unknown"
)

// profiles are the named sets of tunables, oldest first. StrawVersion is no part
// of a profile.
var profiles = []struct {
	name string
	t    Tunables
}{
	{"argonaut", Tunables{2, 5, 19, 0, 0, 0, 0, algsOld}},
	{"bobtail", Tunables{0, 0, 50, 1, 0, 0, 0, algsOld}},
	{"firefly", Tunables{0, 0, 50, 1, 1, 0, 0, algsOld}},
	{"hammer", Tunables{0, 0, 50, 1, 1, 0, 0, algsStraw2}},
	{"jewel", Tunables{0, 0, 50, 1, 1, 1, 0, algsStraw2}},
}

// Profile returns the tunables of that name: argonaut, bobtail, firefly, hammer,
// jewel, and the aliases legacy, optimal and default.
func Profile(name string) (t Tunables, ok bool) {
	switch name {
	case "legacy":
		name = "argonaut"
	case "optimal", "default":
		name = "jewel"
		t.StrawVersion = 1
	}
	for _, p := range profiles {
		if p.name == name {
			version := t.StrawVersion
			t = p.t
			t.StrawVersion = version
			return t, true
		}
	}
	return t, false
}

// LegacyTunables are those of a map that says nothing about them.
func LegacyTunables() Tunables { t, _ := Profile("legacy"); return t }

// DefaultTunables are those of a new cluster.
func DefaultTunables() Tunables { t, _ := Profile("default"); return t }

// Profile returns the name of the profile t is, or "unknown".
func (t Tunables) Profile() string {
	t.StrawVersion = 0
	for i := len(profiles) - 1; i >= 0; i-- {
		if profiles[i].t == t {
			return profiles[i].name
		}
	}
	return profileNone
}
