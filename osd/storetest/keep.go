package storetest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	keepFlag   = flag.String("storetest.keep", filepath.Join(os.TempDir(), "ebofs-scripts"), "directory for scripts that failed")
	scriptFlag = flag.String("storetest.script", "", "make RunModel replay this file, as a failure kept it, instead of its seeds")
)

// keep writes a script that fails to a file of its own, for -storetest.script and
// in the end for testdata, and returns its name.
func keep(test string, lines []string, why error) (string, error) {
	if err := os.MkdirAll(*keepFlag, 0o755); err != nil {
		return "", err
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/ ,", r) {
			return '-'
		}
		return r
	}, test) + "-*.txt"
	f, err := os.CreateTemp(*keepFlag, name)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(fmt.Sprint(why), "\n")
	fmt.Fprintf(f, "// %s: %s\n%s\n", test, first, strings.Join(lines, "\n"))
	return f.Name(), f.Close()
}

// scriptLines returns the steps of a script file: lines without their comments.
func scriptLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// replayKept replays the file of -storetest.script.
func replayKept(t *testing.T, f Factory, full bool) {
	t.Helper()
	text, err := os.ReadFile(*scriptFlag)
	if err != nil {
		t.Fatal(err)
	}
	if i, err := replay(t, f, full, scriptLines(string(text))); err != nil {
		t.Errorf("%s: step %d: %v", *scriptFlag, i+1, err)
	}
}
