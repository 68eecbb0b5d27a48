package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

// used finds names of metrics in an expression.
var used = regexp.MustCompile(`\b(?:ceph|ebofs|process)_[a-z0-9_]+`)

// known fails if an expression names a metric that the table does not have, a label
// that the metric does not have, or no metric at all.
func known(t *testing.T, where, expr string) {
	t.Helper()
	names := used.FindAllString(expr, -1)
	n := 0
	for _, name := range names {
		switch name {
		case "ceph_daemon": // a label
			continue
		}
		n++
		base := name
		for _, s := range []string{"_bucket", "_sum", "_count"} {
			if b, ok := strings.CutSuffix(name, s); ok && isHistogram(b) {
				base = b
			}
		}
		if !slices.ContainsFunc(Table(), func(m Metric) bool { return m.Name == base }) {
			t.Errorf("%s: %s is not in the table", where, name)
		}
	}
	if n == 0 {
		t.Errorf("%s: %q names no metric", where, expr)
	}
	for _, m := range regexp.MustCompile(`\b((?:ceph|ebofs)_[a-z0-9_]+)\{([^}]*)\}`).FindAllStringSubmatch(expr, -1) {
		base := strings.TrimSuffix(m[1], "_bucket")
		i := slices.IndexFunc(Table(), func(r Metric) bool { return r.Name == m[1] || r.Name == base })
		for _, l := range regexp.MustCompile(`([a-z_]+)[=!]~?"`).FindAllStringSubmatch(m[2], -1) {
			if i >= 0 && !slices.Contains(Table()[i].Labels, l[1]) && l[1] != "job" && l[1] != "instance" {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
		}
	}
}

func isHistogram(name string) bool {
	return slices.ContainsFunc(Table(), func(m Metric) bool { return m.Name == name && m.Type == Histogram })
}

// TestDashboard: every panel asks for metrics there are.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../packaging/grafana/ebofs.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	exprs := 0
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: its id is used twice, it has no title, or it does not fit", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for _, x := range p.Targets {
			exprs++
			known(t, p.Title, x.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			known(t, "variable "+v.Name, v.Definition)
		}
	}
	for _, a := range d.Annotations.List {
		known(t, "annotation", a.Expr)
	}
	if exprs < 30 || d.UID == "" {
		t.Errorf("%d expressions, uid %q", exprs, d.UID)
	}
}

// TestAlerts: every alert asks for metrics there are, and says what to do.
func TestAlerts(t *testing.T) {
	const path = "../../packaging/prometheus/ebofs.rules.yml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range r.Groups {
		for _, a := range g.Rules {
			if seen[a.Alert] || a.Alert == "" {
				t.Errorf("alert %q is there twice, or has no name", a.Alert)
			}
			seen[a.Alert] = true
			known(t, a.Alert, a.Expr)
			if !slices.Contains([]string{"info", "warning", "critical"}, a.Labels["severity"]) {
				t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
			}
			if a.Annotations["summary"] == "" || a.Annotations["action"] == "" {
				t.Errorf("%s says not what is wrong, or not what to do", a.Alert)
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d alerts", len(seen))
	}
	var c struct {
		Files []string `yaml:"rule_files"`
	}
	conf, err := os.ReadFile("../../packaging/prometheus/prometheus.yml")
	if err != nil || yaml.Unmarshal(conf, &c) != nil || !slices.Contains(c.Files, "ebofs.rules.yml") {
		t.Errorf("prometheus.yml does not load the rules: %v", err)
	}
	if p, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.Command(p, "check", "rules", path).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v: %s", err, out)
		}
	}
}
