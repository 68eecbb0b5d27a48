package metrics

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"ebofs/cluster/ceph"
	"ebofs/cluster/mon"
	"ebofs/internal/perf"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/metrics.md")

// TestDocs: the page is what the table says.
func TestDocs(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	const path = "../../docs/metrics.md"
	if *rewrite {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/metrics.md is not what the table says (%v); go test ./tools/metrics -rewrite writes it", err)
	}
}

// TestTable holds the table to what Ceph 16.2.15 tells (M2) and to the rules that
// Prometheus has for names.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("testdata/ceph-16.2.15.txt")
	if err != nil {
		t.Fatal(err)
	}
	real := map[string][2]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		real[f[0]] = [2]string{f[1], f[2]}
	}
	if len(real) < 100 {
		t.Fatalf("only %d metrics in the list", len(real))
	}
	// The manager calls this label of the same metric both ways.
	real["ceph_pool_objects_repaired"] = [2]string{"counter", "pool_id"}
	var last string
	for _, m := range Table() {
		if m.Name == last {
			t.Errorf("%s is there twice", m.Name)
		}
		last = m.Name
		if !slices.IsSorted(m.Labels) && !m.Ours() {
			t.Errorf("%s: labels %v are not sorted", m.Name, m.Labels)
		}
		if m.Help == "" || m.From == "" {
			t.Errorf("%s says not what it is", m.Name)
		}
		if !m.Ceph() {
			continue
		}
		labels := strings.Join(m.Labels, ",")
		if labels == "" {
			labels = "-"
		}
		if have, ok := real[m.Name]; !ok {
			t.Errorf("%s is not Ceph's", m.Name)
		} else if have[0] != string(m.Type) || have[1] != labels {
			t.Errorf("%s is %s %s, in Ceph %v", m.Name, m.Type, labels, have)
		}
	}
}

func value(f map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, m := range f[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		ok := true
		for i := 0; i < len(labels); i += 2 {
			ok = ok && have[labels[i]] == labels[i+1]
		}
		if ok {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return -1
}

// TestHealth: a check that passes again is told as passing, for an alert to end.
func TestHealth(t *testing.T) {
	v := &mon.Overview{
		Health: "HEALTH_WARN", Checks: []mon.HealthCheck{{Code: "SLOW_OPS", Severity: "HEALTH_WARN", Summary: "7 slow ops, oldest one blocked for 40 sec"}},
		PGs:   []mon.PGStatus{{ID: ceph.PG{Pool: 3}, State: "active+clean"}, {ID: ceph.PG{Pool: 3, Seed: 1}, State: "active+undersized"}},
		Pools: []mon.PoolStatus{{ID: 3, Name: "x", PGs: 2}},
	}
	r := NewRegistry(Source{Started: time.Now(), Cluster: func() *mon.Overview { return v }})
	gather := func() map[string]*dto.MetricFamily {
		list, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]*dto.MetricFamily{}
		for _, f := range list {
			out[f.GetName()] = f
		}
		return out
	}
	f := gather()
	if value(f, "ceph_health_status") != 1 || value(f, "ceph_health_detail", "name", "SLOW_OPS") != 1 || value(f, "ceph_healthcheck_slow_ops") != 7 {
		t.Error("the check is not told")
	}
	if value(f, "ceph_pg_active", "pool_id", "3") != 2 || value(f, "ceph_pg_clean", "pool_id", "3") != 1 || value(f, "ceph_pg_undersized", "pool_id", "3") != 1 {
		t.Error("states of PGs are not counted one by one")
	}
	v = &mon.Overview{Health: "HEALTH_OK"}
	f = gather()
	if value(f, "ceph_health_status") != 0 || value(f, "ceph_health_detail", "name", "SLOW_OPS") != 0 || value(f, "ceph_healthcheck_slow_ops") != 0 {
		t.Error("the check does not pass again")
	}
}

// TestHistogram: buckets are cumulative, and none is off by one.
func TestHistogram(t *testing.T) {
	var h perf.Histogram
	for _, v := range []uint64{0, 1<<14 - 1, 1 << 14, 1<<20 - 1, 1 << 20, 1 << 40} {
		h.Record(v)
	}
	var s perf.Snapshot
	h.Snapshot(&s)
	got := cumulate(&s)
	for bound, want := range map[uint]uint64{14: 2, 15: 3, 20: 4, 21: 5, 34: 5} {
		if n := got[float64(uint64(1)<<bound)/1e9]; n != want {
			t.Errorf("%d values up to 2^%d ns, want %d", n, bound, want)
		}
	}
	if len(got) != lastBound-firstBound+1 {
		t.Errorf("%d buckets", len(got))
	}
}
