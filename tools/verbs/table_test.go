package verbs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ebofs/tools/codes"
	"ebofs/tools/manual"
	"ebofs/tools/verb"
)

// TestTable: what every verb must say of itself.
func TestTable(t *testing.T) {
	known := map[string]verb.Verb{}
	for _, v := range Table("1.0") {
		if known[v.Name].Name != "" {
			t.Errorf("%s: twice", v.Name)
		}
		known[v.Name] = v
	}
	for name, v := range known {
		if v.Short == "" || strings.HasSuffix(v.Short, ".") || v.Schema == "" {
			t.Errorf("%s: short %q, schema %q", name, v.Short, v.Schema)
		}
		if v.Later {
			continue
		}
		if v.Long == "" || len(v.Examples) == 0 || (v.New == nil) == (len(v.Actions) == 0) {
			t.Errorf("%s: long text, examples or function missing", name)
		}
		for _, s := range v.SeeAlso {
			if known[s].Name == "" {
				t.Errorf("%s: see also %s, which is not there", name, s)
			}
		}
		for _, e := range v.Examples {
			if err := parses(known, e.Command); err != nil {
				t.Errorf("%s: example %q: %v", name, e.Command, err)
			}
		}
		seen := map[string]string{}
		for _, f := range verb.Flags(v) {
			if f.Usage == "" {
				t.Errorf("%s --%s: no usage", name, f.Name)
			}
			if f.Shorthand != "" {
				if other := seen[f.Shorthand]; other != "" && other != f.Name {
					t.Errorf("%s -%s: both --%s and --%s", name, f.Shorthand, other, f.Name)
				}
				seen[f.Shorthand] = f.Name
			}
		}
	}
}

// TestNowhere: a result that cannot be written is a failure, that of --help too.
func TestNowhere(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, line := range []string{"--help", "help", "--version", "map --help", "man", "man E-IO --format json"} {
		var errs strings.Builder
		if code := Main(t.Context(), "1.0", append([]string{"ebofs"}, strings.Fields(line)...), verb.Streams{Out: full, Err: &errs}); code != 1 || !strings.Contains(errs.String(), "writing the result: ") || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: exit %d: %s", line, code, errs.String())
		}
	}
}

// parses checks the command lines of an example, up to what the shell does.
func parses(known map[string]verb.Verb, line string) error {
	line, _, _ = strings.Cut(strings.TrimPrefix(line, "source <("), " > ")
	line, _, _ = strings.Cut(line, " | ")
	ws := strings.Fields(strings.TrimSuffix(line, ")"))
	if link, ok := strings.CutSuffix(ws[0], ".ebofs"); ok {
		return verb.Parse(known[link], ws[1:])
	}
	return verb.Parse(known[ws[1]], ws[2:])
}

// TestManPages: every page is there, and man has nothing to complain about
// where it is installed.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	man, _ := exec.LookPath("man")
	for _, p := range manual.Pages(Table("1.0"), "1.0") {
		path := filepath.Join(dir, p.File())
		if err := os.WriteFile(path, []byte(p.Roff), 0o644); err != nil {
			t.Fatal(err)
		}
		if man == "" {
			continue
		}
		cmd := exec.Command(man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100")
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v: %s", p.File(), err, errs.String())
		}
	}
}

// TestCodesHavePages: every code in the source of the tools is explained.
func TestCodesHavePages(t *testing.T) {
	code := regexp.MustCompile(`"([EW]-[A-Z][A-Z0-9-]+)"`)
	found := 0
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		p, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range code.FindAllStringSubmatch(string(p), -1) {
			found++
			if _, ok := codes.Find(m[1]); !ok {
				t.Errorf("%s: no page for %s", path, m[1])
			}
		}
		return nil
	})
	if err != nil || found < 20 {
		t.Fatal(found, err)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"obect": "object", "mfks": "mkfs", "MAP": "map", "fsckk": "fsck", "xyzzy": "", "a": ""} {
		if got := nearest(word, Table("")); got != want {
			t.Errorf("nearest(%s) = %q, want %q", word, got, want)
		}
	}
}
