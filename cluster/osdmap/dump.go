package osdmap

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

// Dump is a map as "ceph osd dump" shows it in JSON.
type Dump struct {
	Epoch             ceph.Epoch                   `json:"epoch"`
	FSID              string                       `json:"fsid"`
	Created           string                       `json:"created"`
	Modified          string                       `json:"modified"`
	LastUp            string                       `json:"last_up_change"`
	LastIn            string                       `json:"last_in_change"`
	Flags             string                       `json:"flags"`
	FlagsNum          Flags                        `json:"flags_num"`
	FlagsSet          []string                     `json:"flags_set"`
	CrushVersion      int32                        `json:"crush_version"`
	FullRatio         float64                      `json:"full_ratio"`
	BackfillFullRatio float64                      `json:"backfillfull_ratio"`
	NearFullRatio     float64                      `json:"nearfull_ratio"`
	Snapshot          string                       `json:"cluster_snapshot"`
	PoolMax           int32                        `json:"pool_max"`
	MaxOSD            int32                        `json:"max_osd"`
	RequireMinClient  string                       `json:"require_min_compat_client"`
	MinClient         string                       `json:"min_compat_client"`
	RequireRelease    string                       `json:"require_osd_release"`
	Pools             []DumpPool                   `json:"pools"`
	OSDs              []DumpOSD                    `json:"osds"`
	XInfos            []DumpXInfo                  `json:"osd_xinfo"`
	Upmap             []DumpPG                     `json:"pg_upmap"`
	UpmapItems        []DumpRemaps                 `json:"pg_upmap_items"`
	PGTemp            []DumpPG                     `json:"pg_temp"`
	PrimaryTemp       []any                        `json:"primary_temp"` // PG, OSD, PG, OSD, …
	Blocklist         map[string]string            `json:"blocklist"`
	RangeBlocklist    map[string]string            `json:"range_blocklist"` // of later releases
	Profiles          map[string]map[string]string `json:"erasure_code_profiles"`
	RemovedSnapsQueue []DumpSnaps                  `json:"removed_snaps_queue"`
	NewRemovedSnaps   []DumpSnaps                  `json:"new_removed_snaps"`
	NewPurgedSnaps    []DumpSnaps                  `json:"new_purged_snaps"`
	NodeFlags         map[string][]string          `json:"crush_node_flags"`
	ClassFlags        map[string][]string          `json:"device_class_flags"`
	Stretch           DumpStretch                  `json:"stretch_mode"`
}

// DumpPG is a list of OSDs for a PG.
type DumpPG struct {
	PG   string  `json:"pgid"`
	OSDs []int32 `json:"osds"`
}

// DumpRemaps are moves of copies of a PG.
type DumpRemaps struct {
	PG       string      `json:"pgid"`
	Mappings []DumpRemap `json:"mappings"`
}

// DumpRemap is one of them.
type DumpRemap struct {
	From int32 `json:"from"`
	To   int32 `json:"to"`
}

// DumpSnaps are snapshots of a pool.
type DumpSnaps struct {
	Pool  ceph.PoolID    `json:"pool"`
	Snaps []DumpInterval `json:"snaps"`
}

// DumpInterval is a range of snapshots.
type DumpInterval struct {
	Begin  uint64 `json:"begin"`
	Length uint64 `json:"length"`
}

// DumpStretch is the state of a cluster of two sites.
type DumpStretch struct {
	Enabled    bool   `json:"stretch_mode_enabled"`
	Buckets    uint32 `json:"stretch_bucket_count"`
	Degraded   uint32 `json:"degraded_stretch_mode"`
	Recovering uint32 `json:"recovering_stretch_mode"`
	Bucket     int32  `json:"stretch_mode_bucket"`
}

// JSON returns d as JSON.
func (d *Dump) JSON() ([]byte, error) { return json.Marshal(d) }

// Dump returns m in the shape of a dump.
func (m *Map) Dump() (*Dump, error) {
	c, err := crush.Decode(m.Crush)
	if err != nil {
		return nil, fmt.Errorf("dump map %d: %w", m.Epoch, err)
	}
	flags := names(uint64(m.Flags), flagNames)
	d := &Dump{
		Epoch: m.Epoch, FSID: m.FSID.String(), Created: m.Created.String(), Modified: m.Modified.String(), LastUp: m.LastUp.String(), LastIn: m.LastIn.String(),
		Flags: strings.Join(flags, ","), FlagsNum: m.Flags, FlagsSet: sorted(flags), CrushVersion: m.CrushVersion,
		FullRatio: float64(m.FullRatio), BackfillFullRatio: float64(m.BackfillFullRatio), NearFullRatio: float64(m.NearFullRatio),
		Snapshot: m.Snapshot, PoolMax: m.PoolMax, MaxOSD: m.MaxOSD,
		RequireMinClient: ReleaseName(m.MinCompatClient), MinClient: m.minClient(c), RequireRelease: ReleaseName(m.RequireRelease),
		Pools: []DumpPool{}, OSDs: []DumpOSD{}, XInfos: []DumpXInfo{}, UpmapItems: []DumpRemaps{}, PrimaryTemp: []any{},
		Upmap: dumpPGs(m.Upmap), PGTemp: dumpPGs(m.PGTemp), Blocklist: map[string]string{}, RangeBlocklist: map[string]string{},
		Profiles: map[string]map[string]string{}, RemovedSnapsQueue: dumpSnaps(m.RemovedSnapsQueue), NewRemovedSnaps: dumpSnaps(m.NewRemovedSnaps), NewPurgedSnaps: dumpSnaps(m.NewPurgedSnaps),
		NodeFlags: dumpFlags(m.NodeFlags, c.Names), ClassFlags: dumpFlags(m.ClassFlags, c.ClassNames),
	}
	for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
		d.Pools = append(d.Pools, m.DumpPool(id))
	}
	for osd := range m.MaxOSD {
		if m.Exists(osd) {
			d.OSDs, d.XInfos = append(d.OSDs, m.DumpOSD(osd)), append(d.XInfos, m.dumpXInfo(osd))
		}
	}
	for _, pg := range sortedPGs(m.UpmapItems) {
		r := DumpRemaps{PG: pg.String(), Mappings: []DumpRemap{}}
		for _, i := range m.UpmapItems[pg] {
			r.Mappings = append(r.Mappings, DumpRemap(i))
		}
		d.UpmapItems = append(d.UpmapItems, r)
	}
	for _, pg := range sortedPGs(m.PrimaryTemp) {
		d.PrimaryTemp = append(d.PrimaryTemp, pg.String(), m.PrimaryTemp[pg])
	}
	for addr, until := range m.Blocklist {
		d.Blocklist[bare(addr)] = until.String()
	}
	maps.Copy(d.Profiles, m.Profiles)
	if s := m.Stretch; s != nil {
		d.Stretch = DumpStretch(*s)
	}
	return d, nil
}

// minClient returns the oldest release whose clients understand the map.
func (m *Map) minClient(c *crush.Map) string {
	if len(m.Upmap) > 0 || len(m.UpmapItems) > 0 || len(c.ChooseArgs) > 0 {
		return "luminous"
	}
	d, err := c.Dump()
	if err != nil {
		return ReleaseName(0)
	}
	switch v := d.Tunables.MinimumVersion; {
	case v == "jewel" || v == "hammer":
		return v
	case v == "firefly" || len(m.Affinity) > 0 || slices.ContainsFunc(slices.Collect(maps.Values(m.Pools)), func(p *Pool) bool { return p.IsErasure() || len(p.Tiers) > 0 }):
		return "firefly"
	case v == "bobtail":
		return "dumpling"
	default:
		return v
	}
}

var releases = []string{"unknown", "argonaut", "bobtail", "cuttlefish", "dumpling", "emperor", "firefly", "giant", "hammer", "infernalis", "jewel",
	"kraken", "luminous", "mimic", "nautilus", "octopus", "pacific", "quincy", "reef", "squid"}

// ReleaseName returns the name of a release of Ceph.
func ReleaseName(release uint8) string {
	if int(release) < len(releases) {
		return releases[release]
	}
	return releases[0]
}

var flagNames = []string{"nearfull", "full", "pauserd", "pausewr", "pauserec", "noup", "nodown", "noout", "noin", "nobackfill", "norecover", "noscrub", "nodeep-scrub",
	"notieragent", "norebalance", "sortbitwise", "require_jewel", "require_kraken", "require_luminous", "recovery_deletes", "purged_snapdirs", "nosnaptrim", "pglog_hardlimit"}

var stateNames = []string{"exists", "up", "autoout", "new", "full", "nearfull", "backfillfull", "destroyed", "noup", "nodown", "noin", "noout"}

var poolFlagNames = []string{"hashpspool", "full", "ec_overwrites", "incomplete_clones", "nodelete", "nopgchange", "nosizechange", "write_fadvise_dontneed", "noscrub",
	"nodeep-scrub", "full_quota", "nearfull", "backfillfull", "selfmanaged_snaps", "pool_snaps", "creating", "eio", "bulk"}

// names returns those of the bits that are set, from the lowest.
func names(set uint64, table []string) []string {
	found := []string{}
	for ; set != 0; set &= set - 1 {
		if bit := bits.TrailingZeros64(set); bit < len(table) {
			found = append(found, table[bit])
		} else {
			found = append(found, "???")
		}
	}
	return found
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func sortedPGs[V any](m map[ceph.PG]V) []ceph.PG {
	return slices.SortedFunc(maps.Keys(m), ceph.PG.Compare)
}

func dumpPGs(m map[ceph.PG][]int32) []DumpPG {
	out := []DumpPG{}
	for _, pg := range sortedPGs(m) {
		out = append(out, DumpPG{pg.String(), append([]int32{}, m[pg]...)})
	}
	return out
}

func dumpSnaps(m map[ceph.PoolID]Intervals) []DumpSnaps {
	out := []DumpSnaps{}
	for _, pool := range slices.Sorted(maps.Keys(m)) {
		s := DumpSnaps{pool, []DumpInterval{}}
		for _, i := range m[pool] {
			s.Snaps = append(s.Snaps, DumpInterval{i.Start, i.Length})
		}
		out = append(out, s)
	}
	return out
}

func dumpFlags(m map[int32]State, called map[int32]string) map[string][]string {
	out := map[string][]string{}
	for id, s := range m {
		name, ok := called[id]
		if !ok {
			name = strconv.Itoa(int(id))
		}
		out[name] = sorted(names(uint64(s), stateNames))
	}
	return out
}

// bare is an address without the name of its type.
func bare(a ceph.Addr) string {
	if a.IsBlank() {
		return "(unrecognized address family 0)/" + strconv.FormatUint(uint64(a.Nonce), 10)
	}
	return fmt.Sprintf("%s/%d", a.IP, a.Nonce)
}
