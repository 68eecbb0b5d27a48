package mon

import (
	"hash/fnv"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
)

// configFor returns the options that are set for a peer: for all, for its type,
// for itself, the narrower over the wider.
func (s *State) configFor(name ceph.EntityName) map[string]string {
	out := map[string]string{}
	for _, who := range []string{"global", name.Type.String(), name.String()} {
		maps.Copy(out, s.Config[who])
	}
	return out
}

// configKey tells two sets of options apart.
func configKey(v map[string]string) uint64 {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(v)) {
		_, _ = h.Write([]byte(k + "\x00" + v[k] + "\x00"))
	}
	return h.Sum64() | 1
}

// cephxLogin is what a monitor needs to answer an entity's requests for tickets.
func cephxLogin(m *Monitor) *cephx.Login {
	return &cephx.Login{Entities: entities{m}, Servers: m.keys, NewGlobalID: m.newGlobalID}
}

// useDatabase gives the monitor's own options what the database says of them.
func (m *Monitor) useDatabase(old, st *State) {
	name := ceph.EntityName{Type: ceph.TypeMon, ID: m.cfg.Name}
	values := st.configFor(name)
	if old != nil && configKey(old.configFor(name)) == configKey(values) {
		return
	}
	if err := m.cfg.Options.UseDatabase(values); err != nil {
		m.log.Warn("options in the database that make no sense are left out", "err", err)
	}
}
