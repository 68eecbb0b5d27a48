package golden

import (
	"bufio"
	"compress/gzip"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Files returns the files of cluster/testdata that match pattern, as ops/*.
func Files(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(dir()), pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden file is called %s: %v", pattern, err)
	}
	return names
}

// Lines yields the lines of a file that Files returned, which may be gzipped. A
// line is good until the next one.
func Lines(t testing.TB, name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		t.Helper()
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		s := bufio.NewScanner(r)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			if !yield(s.Bytes()) {
				return
			}
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	}
}
