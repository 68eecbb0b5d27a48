package arch

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestModule is the check of this module.
func TestModule(t *testing.T) {
	found, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// TestFindings plants one fault at a time and expects to be told of it.
func TestFindings(t *testing.T) {
	const head = "// Package p is here.\npackage p\n"
	good := map[string]string{
		"go.mod":              "module m\n\ngo 1.26\n",
		"devices/doc.go":      head,
		"allocator/doc.go":    head,
		"allocator/use.go":    "package p\n\nimport _ \"m/devices\"\n",
		"ebofs/doc.go":        head,
		"ebofs/use.go":        "package p\n\nimport _ \"m/allocator\"\nimport _ \"m/internal/perf\"\n",
		"ebofs/use_test.go":   "package p\n\nimport _ \"m/devices/crashdev\"\nimport _ \"pgregory.net/rapid\"\n",
		"tools/ebofs/doc.go":  "// Command ebofs is the program.\npackage main\n",
		"ebofs/testdata/x.go": "not Go at all",
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"clean":            {},
		"upwards":          {"devices/a.go", "package p\n\nimport _ \"m/ebofs\"\n", "devices/a.go:3: devices imports ebofs"},
		"sideways":         {"osd/a.go", head + "\nimport _ \"m/ebofs\"\n", "osd imports ebofs"},
		"unknown package":  {"util/doc.go", head, "util: no row"},
		"foreign module":   {"ebofs/a.go", "package p\n\nimport _ \"example.com/x\"\n", "imports module example.com/x"},
		"test library":     {"ebofs/a.go", "package p\n\nimport _ \"pgregory.net/rapid\"\n", "imports module pgregory.net/rapid"},
		"fake outside":     {"ebofs/a.go", "package p\n\nimport _ \"m/devices/crashdev\"\n", "ebofs imports devices/crashdev"},
		"clock":            {"allocator/a.go", "package p\n\nimport \"time\"\n\nvar x = time.Now()\n", "allocator/a.go:5: time.Now"},
		"renamed clock":    {"allocator/a.go", "package p\n\nimport t \"time\"\n\nvar x = t.Now()\n", "under another name"},
		"duration is fine": {"allocator/a.go", "package p\n\nimport \"time\"\n\nvar x = time.Second\n", ""},
		"global random":    {"allocator/a.go", "package p\n\nimport \"math/rand/v2\"\n\nvar x = rand.IntN(3)\n", "rand.IntN"},
		"own random":       {"allocator/a.go", "package p\n\nimport \"math/rand/v2\"\n\nvar x = rand.New(rand.NewPCG(1, 2))\n", ""},
		"goroutine":        {"allocator/a.go", "package p\n\nfunc f() { go f() }\n", "never starts a goroutine"},
		"file":             {"allocator/a.go", "package p\n\nimport _ \"os\"\n", "imports os"},
		"second program":   {"tools/x/doc.go", "// Command x is one too many.\npackage main\n", "only program"},
		"no doc.go":        {"btree/a.go", head, "btree: no doc.go"},
		"detached comment": {"btree/doc.go", "// Package p is here.\n\npackage p\n", "no comment directly"},
		"bare function":    {"ebofs/a.go", "package p\n\nfunc F() {}\n", "func F has no comment"},
		"bare method":      {"ebofs/a.go", "package p\n\n// T is.\ntype T[K any] struct{}\n\nfunc (t *T[K]) F() {}\n", "func F has no comment"},
		"hidden method":    {"ebofs/a.go", "package p\n\ntype t struct{}\n\nfunc (t) F() {}\n", ""},
		"known method":     {"ebofs/a.go", "package p\n\n// T is.\ntype T int\n\nfunc (T) String() string { return \"\" }\n", ""},
		"bare type":        {"ebofs/a.go", "package p\n\n// Several.\ntype (\n\tT int\n)\n", "type T has no comment"},
		"bare constant":    {"ebofs/a.go", "package p\n\nconst (\n\tC = 1\n)\n", "const C has no comment"},
		"grouped constant": {"ebofs/a.go", "package p\n\n// Kinds.\nconst (\n\tC = 1\n)\n", ""},
		"does not parse":   {"ebofs/a.go", "package", "ebofs/a.go:1"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(good)
			if c.file != "" {
				files[c.file] = c.text
				if strings.HasPrefix(c.file, "osd/") {
					files["osd/doc.go"] = head
				}
			}
			root := fstest.MapFS{}
			for name, text := range files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			found, err := Check(root)
			if err != nil {
				found = append(found, err.Error())
			}
			if c.want == "" {
				if len(found) != 0 {
					t.Fatalf("findings in a clean module: %q", found)
				}
				return
			}
			if len(found) != 1 || !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, c.want) }) {
				t.Fatalf("findings %q, want one with %q", found, c.want)
			}
		})
	}
}
