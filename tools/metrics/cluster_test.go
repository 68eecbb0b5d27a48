package metrics_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ebofs/tools/daemon"
	"ebofs/tools/local"
	"ebofs/tools/metrics"
)

// families scrapes a source as Prometheus does.
func families(t *testing.T, s metrics.Source) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(s).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	text := w.Body.String()
	p := expfmt.NewTextParser(model.LegacyValidation)
	f, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	found, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range found {
		if !strings.HasPrefix(x.Metric, "ceph_") { // Ceph's names are Ceph's
			t.Errorf("%s: %s", x.Metric, x.Text)
		}
	}
	return f
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

// TestCluster scrapes a cluster that runs: every metric of the table is there, and
// what was done is counted.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := local.Make(ctx, local.Options{Dir: t.TempDir(), OSDs: 2, OSDBytes: 256 << 20, Memory: 64 << 20, Tuning: daemon.Tuning{Fast: true, Unsafe: true, Report: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	if _, err := c.Command(ctx, "osd pool create", "pool", "p", "pg_num", 8); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitClean(ctx); err != nil {
		t.Fatal(err)
	}
	src := metrics.Source{
		Daemon: "demo", Version: "test", Started: time.Now(), Cluster: c.Mon.Overview,
		OSDs: func() (list []metrics.OSD) {
			for i, o := range c.OSDs {
				list = append(list, metrics.OSD{ID: int32(i), Counters: o.Counters, Store: o.Store})
			}
			return list
		},
	}
	f := families(t, src)
	for _, m := range metrics.Table() {
		got := f[m.Name]
		if got == nil {
			if m.Name == "ceph_health_detail" || strings.HasPrefix(m.Name, "process_network_") || m.Name == "ebofs_free_runs" {
				continue // not always there
			}
			t.Errorf("%s is not told", m.Name)
			continue
		}
		if kind := strings.ToLower(got.GetType().String()); kind != string(m.Type) {
			t.Errorf("%s is a %s, in the table a %s", m.Name, kind, m.Type)
		}
	}
	for name := range f {
		if !slices.ContainsFunc(metrics.Table(), func(m metrics.Metric) bool { return m.Name == name }) {
			t.Errorf("%s is not in the table", name)
		}
	}
	for _, x := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"ceph_osd_up", []string{"ceph_daemon", "osd.1"}, 1}, {"ceph_mon_quorum_status", []string{"ceph_daemon", "mon.a"}, 1},
		{"ceph_pg_total", []string{"pool_id", "1"}, 8}, {"ceph_pg_active", []string{"pool_id", "1"}, 8}, {"ceph_pg_unknown", []string{"pool_id", "1"}, 0},
		{"ceph_pool_metadata", []string{"name", "p"}, 1}, {"ebofs_store_ok", []string{"ceph_daemon", "osd.0"}, 1},
	} {
		if got := value(f, x.name, x.labels...); got != x.want {
			t.Errorf("%s%v is %v, want %v", x.name, x.labels, got, x.want)
		}
	}
	if n := value(f, "ebofs_commit_duration_seconds", "ceph_daemon", "osd.0"); n < 1 {
		t.Errorf("%v commits, though PGs were made", n)
	}
}
