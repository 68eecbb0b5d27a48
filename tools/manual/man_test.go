package manual

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/tools/verb"
)

// TestWrite: the directory of --write need not be there.
func TestWrite(t *testing.T) {
	v := Verb(func() []verb.Verb { return nil }, "1")
	dir := filepath.Join(t.TempDir(), "share", "man7")
	var out, errs bytes.Buffer
	if code := verb.Main(context.Background(), v, []string{"--write", dir}, verb.Streams{Out: &out, Err: &errs}); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if p, err := os.ReadFile(filepath.Join(dir, f.Name())); err != nil || !strings.HasPrefix(string(p), ".") {
			t.Errorf("%s: %v, %.40q", f.Name(), err, p)
		}
	}
}
