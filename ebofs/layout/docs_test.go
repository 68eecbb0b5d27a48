package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs: every line of a ```golden block of docs/format stands in the golden file
// it names, so the pages cannot drift from the bytes.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/format/*.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if b := filepath.Base(page); b == "wal.md" || b == "node.md" || b == "image.md" {
			continue // other packages' pages
		}
		known := ""
		for n, line := range strings.Split(string(text), "\n") {
			switch {
			case strings.HasPrefix(line, "```golden "):
				name := strings.TrimPrefix(line, "```golden ")
				g, err := os.ReadFile(filepath.Join("testdata", filepath.Base(name)))
				if err != nil {
					t.Fatalf("%s:%d: %v", page, n+1, err)
				}
				known = "\n" + string(g)
			case strings.HasPrefix(line, "```"):
				known = ""
			case known != "":
				lines++
				if !strings.Contains(known, "\n"+line+"\n") {
					t.Errorf("%s:%d: %q is not in the golden file", page, n+1, line)
				}
			}
		}
	}
	if lines < 50 {
		t.Fatalf("only %d lines compared", lines)
	}
}
