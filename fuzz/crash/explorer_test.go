package crash

import (
	"context"
	"iter"
	"strings"
	"testing"
)

// exploreToy runs a thin slice of all kinds of workloads: enough to find each
// planted fault, and some seconds where there is none.
func exploreToy(t *testing.T, f toyFaults) *Explorer {
	t.Helper()
	if testing.Short() {
		t.Skip("tries the harness, not the engine")
	}
	ctx := context.Background()
	x, err := New(ctx, toyTarget(f))
	if err != nil {
		t.Fatal(err)
	}
	plan := Plan{Points: 4, States: 4, DeepEvery: 16, NestEvery: 8, NestStates: 2}
	for _, jobs := range []iter.Seq[Job]{
		EveryNth(29, Singles(plan)), EveryNth(61, Pairs(plan)), Long(1, 12, plan),
	} {
		if x.Run(ctx, jobs); len(x.Failures()) > 0 {
			break
		}
	}
	return x
}

// TestSoundToy: a store that keeps its promises passes, or the explorer expects
// too much.
func TestSoundToy(t *testing.T) {
	x := exploreToy(t, toyFaults{})
	for _, f := range x.Failures() {
		t.Error(f)
	}
	if x.States() < 400 || x.Nested() < 40 {
		t.Errorf("only %d states, %d nested", x.States(), x.Nested())
	}
}

// TestPlantedFaults: each broken rule is found, as what it is.
func TestPlantedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults toyFaults
		want   string
	}{
		"acknowledged before the flush": {toyFaults{ackBeforeFlush: true}, "was acknowledged"},
		"flush left out":                {toyFaults{noFlush: true}, "was acknowledged"},
		"lost data not noticed":         {toyFaults{trustData: true}, "is like no state"},
		"torn record trusted":           {toyFaults{trustRecord: true}, "is like no state"},
		"bad record skipped":            {toyFaults{skipBad: true}, "is like no state"},
		"transaction in two records":    {toyFaults{halves: true}, ""},
		"log not replayed":              {toyFaults{noReplay: true}, ""},
		"recovery panics":               {toyFaults{panics: true}, "panic: bad record"},
	} {
		t.Run(name, func(t *testing.T) {
			found := exploreToy(t, c.faults).Failures()
			if len(found) == 0 {
				t.Fatal("not found")
			}
			for _, f := range found {
				if strings.Contains(f.Error(), c.want) {
					return
				}
			}
			t.Fatalf("found as something else: %v", found[0])
		})
	}
}

// TestFind: the name a failure prints leads back to its workload (I1).
func TestFind(t *testing.T) {
	for _, name := range []string{
		"/mode=3", "touch/mode=0", "split,merge/mode=", RandomName(7),
	} {
		if strings.HasSuffix(name, "=") {
			for mode := range "01234567" {
				if _, ok := Find(name+string("01234567"[mode]), Plan{}); ok {
					name += string("01234567"[mode])
					break
				}
			}
		}
		j, ok := Find(name, Plan{})
		if !ok || j.Workload.Name() != name {
			t.Errorf("%q: found %v %q", name, ok, j.Workload.Name())
		}
	}
}

func RandomName(seed uint64) string {
	w := RandomWorkload(seed)
	return w.Name()
}
