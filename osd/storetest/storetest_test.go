package storetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestShrink shrinks a list that fails for two of its operations.
func TestShrink(t *testing.T) {
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("txn touch c0 o%d; remove c0 o%d; touch c1 o%d", i, i+1000, i+2000), "sync")
	}
	runs := 0
	small, why := shrink(lines, 1000, func(lines []string) error {
		runs++
		all := strings.Join(lines, "\n")
		if strings.Contains(all, "remove c0 o1100") && strings.Contains(all, "touch c1 o2250") {
			return errors.New("both")
		}
		return nil
	})
	if why == nil || weight(small) != 4 || len(small) != 2 {
		t.Errorf("after %d runs: %q, %v", runs, small, why)
	}
	if small, why := shrink(lines, 10, func([]string) error { return nil }); why != nil || !slices.Equal(small, lines) {
		t.Errorf("a list that does not fail became %d lines, %v", len(small), why)
	}
}

// TestGenerator says that generated lines can be read, that equal seeds give
// equal lines, and that few transactions are refused.
func TestGenerator(t *testing.T) {
	run := func() []string {
		m := newModel()
		g := newGenerator(3, m)
		var lines []string
		verbs := map[string]int{}
		txns, refused := 0, 0
		for range 3000 {
			line := g.line()
			lines = append(lines, line)
			verbs[strings.Fields(line)[0]]++
			if !strings.HasPrefix(line, "txn") {
				continue
			}
			x, err := parseTransaction(line)
			if err != nil {
				t.Fatal(err)
			}
			for _, op := range operations(line) {
				verbs[strings.Fields(op)[0]]++
			}
			txns++
			p, err := m.check(x)
			if err != nil {
				refused++
				continue
			}
			m.apply(x, p)
		}
		if refused*100 < txns || refused*4 > txns {
			t.Errorf("%d of %d transactions refused", refused, txns)
		}
		want := []string{"compare", "sync", "reopen", "checkpoint", "read", "list", "iter", "write", "zero", "truncate", "touch",
			"remove", "rename", "setattrs", "rmattr", "rmattrs", "omapset", "omaprm", "omaprange", "omapclear", "omapheader",
			"hint", "mkcoll", "rmcoll", "split", "merge", "renamecoll", "clone", "clonerange"}
		for _, v := range want {
			if verbs[v] == 0 {
				t.Errorf("no %s among %v", v, verbs)
			}
		}
		return lines
	}
	if !slices.Equal(run(), run()) {
		t.Error("equal seeds gave different lines")
	}
}

// FuzzScript reads any line: an error or a transaction, nothing else.
func FuzzScript(f *testing.F) {
	f.Add("txn write c0 o3 4095 2#77; setattrs c0 o3 a1:300#78")
	f.Add("txn mkcoll c0 -1 1 0 0; split c0 1 0x1 c1; merge c0 c1 0; renamecoll c1 c2; rmcoll c2")
	f.Add("txn omaprange c0 o1 - k3; clonerange c0 o1 o2 1 2 3; omapset c0 o1 k1:#")
	f.Fuzz(func(t *testing.T, line string) {
		x, err := parseTransaction(line)
		if (x == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", line, x, err)
		}
	})
}

// TestKeep: a script that was kept is read as it was.
func TestKeep(t *testing.T) {
	was := *keepFlag
	defer func() { *keepFlag = was }()
	*keepFlag = filepath.Join(t.TempDir(), "scripts")
	lines := []string{"txn mkcoll c0 -1 1 0 0x0", "txn touch c0 o1; write c0 o1 5 10#7", "reopen"}
	name, err := keep("TestModel/inline, tiny/seed3", lines, errors.New("object o1: other data\nmore"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := scriptLines(string(text)); !slices.Equal(got, lines) {
		t.Errorf("kept as %q", text)
	}
}
