package mon

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/cluster/monmap"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
)

// TestOverview: what is reported, what nobody has reported, what is set.
func TestOverview(t *testing.T) {
	ctx := context.Background()
	q := quorum.NewMemory().View("a")
	at := netip.MustParseAddrPort("127.0.0.1:0")
	if _, err := Make(ctx, q, NewCluster{Monitors: []monmap.Monitor{{Name: "a", Addrs: ceph.AddrVec{ceph.MsgrAddr(at, 0)}}}, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	o := conf.Defaults(ceph.EntityName{Type: ceph.TypeMon, ID: "a"})
	if err := o.Set(conf.CommandLine, "mon_allow_pool_size_one", "true"); err != nil {
		t.Fatal(err)
	}
	m, err := New(ctx, Config{Name: "a", Addr: at, Quorum: q, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	st, err := m.change(ctx, func(c *Change) error {
		inc := c.Inc()
		inc.MaxOSD, inc.PoolMax = 2, 1
		inc.States = map[int32]osdmap.State{0: osdmap.Exists, 1: osdmap.Exists}
		p := osdmap.NewPool()
		p.Size, p.MinSize, p.PGNum, p.PGPNum, p.PGNumTarget, p.PGPNumTarget = 1, 1, 4, 4, 4, 4
		inc.Pools = map[ceph.PoolID]*osdmap.Pool{1: p}
		inc.PoolNames = map[ceph.PoolID]string{1: "rbd"}
		c.Put(prefixConfig+"osd.1/debug_osd", []byte("5"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	good := msg.PGStat{State: msg.PGActive | msg.PGClean, Acting: []int32{0}, Up: []int32{0}, Sum: msg.ObjectSum{Objects: 3, Bytes: 300}, ReportedEpoch: st.OSD.Epoch}
	bad := good
	bad.State |= msg.PGInconsistent
	m.stats.report(0, &msg.PGStats{OSD: msg.OSDStat{KB: 100, KBUsed: 40, KBAvail: 60, CommitMillis: 7}, PGs: map[ceph.PG]msg.PGStat{{Pool: 1, Seed: 0}: good, {Pool: 1, Seed: 1}: bad}}, time.Now())

	v := m.Overview()
	if len(v.PGs) != 4 || len(v.OSDs) != 2 || len(v.Pools) != 1 {
		t.Fatalf("%d PGs, %d OSDs, %d pools", len(v.PGs), len(v.OSDs), len(v.Pools))
	}
	// osd.0 is down: what it said of its PGs is stale, and worse is said first.
	for i, want := range []struct{ state, severity, waits string }{
		{"stale+active+clean", healthWarn, "osd.0 to come up"},
		{"stale+active+clean+inconsistent", healthErr, "a repair of what is damaged"},
		{"unknown", healthWarn, "an OSD that is up and that the pool's rule can choose"},
		{"unknown", healthWarn, "an OSD that is up and that the pool's rule can choose"},
	} {
		if p := v.PGs[i]; p.State != want.state || p.Severity != want.severity || p.Waits != want.waits {
			t.Errorf("%s is %s, %q, waits for %q; want %+v", p.Name, p.State, p.Severity, p.Waits, want)
		}
	}
	if s := v.States[0]; s.State != "unknown" || s.Count != 2 {
		t.Errorf("states %v", v.States)
	}
	if s := v.OSDs[0]; s.Total != 100<<10 || s.Used != 40<<10 || s.Commit != 7 || s.Up || s.In {
		t.Errorf("osd.0 is %+v", s)
	}
	if p := v.Pools[0]; p.Name != "rbd" || p.Stored != 600 || p.Sum.Objects != 6 {
		t.Errorf("pool is %+v", p)
	}
	if v.Health != healthErr || v.Leader != "a" || len(v.Monitors) != 1 {
		t.Errorf("health %s, leader %s, monitors %v", v.Health, v.Leader, v.Monitors)
	}
	for _, c := range v.Checks {
		if c.Action == "" || c.Summary == "" {
			t.Errorf("check %+v says not what to do", c)
		}
	}
	want := []OptionValue{{"debug_osd", "5", conf.Database.String(), "osd.1"}, {"mon_allow_pool_size_one", "true", conf.CommandLine.String(), ""}}
	if !slices.Equal(v.Options, want) {
		t.Errorf("options %v, want %v", v.Options, want)
	}
}

// TestAdvice: every check of this package says what to do, by commands that exist.
func TestAdvice(t *testing.T) {
	files, err := filepath.Glob("[^c]*.go") // not the heads of tables
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range regexp.MustCompile(`"((?:AUTH|CRUSH|LARGE|MON|OBJECT|OLD|OSDMAP|OSD|PG|POOL|SLOW|TOO)_[A-Z_]*[A-Z])"[,}]`).FindAllStringSubmatch(string(text), -1) {
			if codes++; advice[c[1]] == "" {
				t.Errorf("%s: %s has no line in advice", f, c[1])
			}
		}
	}
	if codes < 9 {
		t.Errorf("only %d checks were found in the sources", codes)
	}
	known := map[string]bool{}
	for _, c := range Commands() {
		known[c.Prefix] = true
	}
	for code, a := range advice {
		for _, c := range regexp.MustCompile(`ceph ((?:osd|pg|config|health|crash)[a-z -]*[a-z])`).FindAllStringSubmatch(a, -1) {
			words := strings.Fields(c[1])
			found := false
			for n := len(words); n > 0 && !found; n-- {
				found = known[strings.Join(words[:n], " ")]
			}
			if !found {
				t.Errorf("advice for %s names %q, which is no command", code, c[0])
			}
		}
	}
}
