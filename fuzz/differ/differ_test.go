package differ

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/fuzz/stock"
)

var (
	rewrite = flag.Bool("rewrite", false, "take the results of the scripts from a real cluster")
	seed    = flag.Uint64("seed", 0, "of TestRandom; 0: another one each time")
	count   = flag.Int("count", 1500, "operations of TestRandom")
)

// pools are what scripts find; pool one has one PG, in which versions follow from
// what the script did.
var pools = []string{"mkpool one 1", "mkpool many 8", "mkpool self 8", "mkpool snaps 8", "mkpool all 4", "mkpool empty 4"}

// begin starts a session with the pools made.
func begin(t *testing.T, conf string) *session {
	t.Helper()
	s, err := start(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	for _, op := range pools {
		if got := s.must(t, op); got != "0" {
			t.Fatalf("%s: %s", op, got)
		}
	}
	return s
}

func (s *session) must(t *testing.T, op string) string {
	t.Helper()
	got, err := s.do(op)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestScripts carries out the scripts on a cluster of ours and expects what they say.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	if *rewrite {
		take(t, paths)
		return
	}
	known, err := differences("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, stock.StartOurs(t, stock.Cluster{}).Conf())
	cases, ops, bad := 0, 0, 0
	for _, path := range paths {
		script, err := parse(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range script {
			where := strings.TrimSuffix(filepath.Base(path), ".txt") + "/" + c.name
			if c.name != "" {
				cases++
				s.must(t, "case "+where)
			}
			for _, l := range c.lines {
				if !l.operation() {
					continue
				}
				ops++
				got := s.must(t, l.op)
				if got == l.result {
					continue
				}
				i := slices.IndexFunc(known, func(d *difference) bool { return d.where == where && d.op == l.op && d.ours == got })
				if i >= 0 {
					known[i].seen = true
					continue
				}
				bad++
				t.Errorf("%s: %.150s\n  Ceph: %.400s\n  ours: %.400s", where, l.op, l.result, got)
			}
		}
	}
	for _, d := range known {
		if !d.seen {
			t.Errorf("docs/differences.md has %s: %s, which is the same now", d.where, d.op)
		}
	}
	fmt.Printf("cases compared: %d operations: %d differences: %d\n", cases, ops, bad)
	if cases < 300 {
		t.Errorf("%d cases are fewer than 300", cases)
	}
}

// take writes the results of a real cluster into the scripts.
func take(t *testing.T, paths []string) {
	s := begin(t, stock.StartCeph(t).Conf)
	for _, path := range paths {
		script, err := parse(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range script {
			if c.name != "" {
				s.must(t, "case "+strings.TrimSuffix(filepath.Base(path), ".txt")+"/"+c.name)
			}
			for i := range c.lines {
				if l := &c.lines[i]; l.operation() {
					l.result = s.must(t, l.op)
				}
			}
		}
		if err := os.WriteFile(path, []byte(format(script)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRandom has a real cluster and ours do the same, and compares.
func TestRandom(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	real, ours := begin(t, stock.StartCeph(t).Conf), begin(t, stock.StartOurs(t, stock.Cluster{}).Conf())
	ops := 0
	for i := 0; ops < *count; i++ {
		g := &generator{r: rand.New(rand.NewPCG(*seed, uint64(i))), self: i%2 == 1}
		history := []string{fmt.Sprintf("case random/%d", i), "pool one"}
		if g.self {
			history[1] = "pool self"
		}
		for len(history) < 150 {
			history = append(history, g.next()...)
		}
		for j, op := range history {
			want, got := real.must(t, op), ours.must(t, op)
			if want != got {
				t.Fatalf("go test ./fuzz/differ -run TestRandom -seed %d\n%s\n  Ceph: %.400s\n  ours: %.400s", *seed, strings.Join(history[:j+1], "\n"), want, got)
			}
		}
		ops += len(history)
	}
	fmt.Printf("random operations compared: %d seed: %d\n", ops, *seed)
}
