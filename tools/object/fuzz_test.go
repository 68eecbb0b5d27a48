package object

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// FuzzJournal reads journals: an answer or errJournal.
func FuzzJournal(f *testing.F) {
	sum := strings.Repeat("0a", 32)
	f.Add([]byte(sum + " 12 name\n\\" + sum + " 3 a\\nb\\\\c\n"))
	f.Add([]byte(journalHead + "\n" + sum + " 1 x"))
	f.Fuzz(func(t *testing.T, p []byte) {
		err := ReadJournal(bytes.NewReader(p), func(a Acked) error {
			if a.Name == "" || len(a.SHA256) != 64 {
				t.Fatalf("%+v", a)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errJournal) {
			t.Fatal(err)
		}
	})
}

// FuzzMeta reads the attributes import keeps; what can be read is written the same.
func FuzzMeta(f *testing.F) {
	f.Add("100644", "1700000000.000000001", "")
	f.Add("120777", "-5.999999999", "target")
	f.Fuzz(func(t *testing.T, mode, mtime, target string) {
		m, ok := decodeMeta(map[string][]byte{attrMode: []byte(mode), attrMTime: []byte(mtime), attrSymlink: []byte(target)})
		if !ok {
			return
		}
		again, ok := decodeMeta(m.encode())
		if !m.isSymlink() {
			m.target = ""
		}
		if !ok || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v becomes %+v, %v", m, again, ok)
		}
	})
}
