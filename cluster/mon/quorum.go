package mon

import (
	"encoding/json"
	"fmt"
	"strings"
)

// monChecks are those of monitors that do not answer.
func (m *Monitor) monChecks(st *State) (list []check) {
	ranks := m.quorum(st)
	all := len(st.MonMap.Ranks)
	if len(ranks) == all {
		return nil
	}
	in := map[int]bool{}
	for _, r := range ranks {
		in[r] = true
	}
	var detail []string
	for r, name := range st.MonMap.Ranks {
		if !in[r] {
			detail = append(detail, fmt.Sprintf("mon.%s (rank %d) addr %v is down (out of quorum)", name, r, st.MonMap.At(r).Addrs))
		}
	}
	return []check{{Code: "MON_DOWN", Severity: healthWarn, Summary: fmt.Sprintf("%d/%d mons down, quorum %s", len(detail), all, strings.Join(st.monNames(ranks), ",")), Count: len(detail), Detail: detail}}
}

// pingStatus is what `ceph ping mon.X` shows.
func (m *Monitor) pingStatus(st *State) []byte {
	p, err := json.Marshal(map[string]any{"health": newHealth(m.health(st, m.stats.summary(st.OSD)), false), "mon_status": m.status(st)})
	if err != nil {
		return []byte("{}")
	}
	return p
}

// monStatusJSON is how one monitor is.
type monStatusJSON struct {
	Name     string `json:"name"`
	Rank     int    `json:"rank"`
	State    string `json:"state"`
	Election int    `json:"election_epoch"`
	Quorum   []int  `json:"quorum"`
	Age      int    `json:"quorum_age"`
	Features struct {
		RequiredCon string   `json:"required_con"`
		RequiredMon []string `json:"required_mon"`
		QuorumCon   string   `json:"quorum_con"`
		QuorumMon   []string `json:"quorum_mon"`
	} `json:"features"`
	Outside  []string                `json:"outside_quorum"`
	Extra    []string                `json:"extra_probe_peers"`
	Sync     []string                `json:"sync_provider"`
	MonMap   monMapJSON              `json:"monmap"`
	Sessions map[string][]featureRow `json:"feature_map"`
	Stretch  bool                    `json:"stretch_mode"`
}

func (m *Monitor) status(st *State) monStatusJSON {
	ranks := m.quorum(st)
	own := st.MonMap.Rank(m.cfg.Name)
	j := monStatusJSON{Name: m.cfg.Name, Rank: own, State: "peon", Election: int(st.MonMap.Epoch), Quorum: ranks, Age: m.age(), Outside: []string{}, Extra: []string{}, Sync: []string{}, MonMap: newMonMap(st), Sessions: m.featureMap(st)}
	if len(ranks) > 0 && ranks[0] == own {
		j.State = "leader"
	}
	f := &j.Features
	f.RequiredCon, f.RequiredMon, f.QuorumCon, f.QuorumMon = fmt.Sprint(uint64(allFeatures)), featureNames(st.MonMap.Persistent), fmt.Sprint(uint64(allFeatures)), monFeatures
	return j
}
