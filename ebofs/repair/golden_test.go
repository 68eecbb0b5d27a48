package repair

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"ebofs/ebofs/layout"
)

// TestUndoFormat: the bytes of an undo file are those docs/format/undo.md shows.
func TestUndoFormat(t *testing.T) {
	const page = "../../docs/format/undo.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	f := new(memFile)
	u := undoFile{at: f, id: Ident{layout.UUID{0xf5, 1}, layout.UUID{0xde, 2}, 0x4000}, length: undoHeader}
	u.generation, u.epoch, u.supers = 10, 9, []uint32{0x11111111, 0x22222222}
	old := make([]byte, layout.BlockSize)
	old[0] = 0xaa
	if err := u.append(0x300, old); err != nil {
		t.Fatal(err)
	}
	if err := u.finish(le.AppendUint32(nil, 0x33333333)); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	at := 0
	for _, x := range []struct {
		n    int
		name string
	}{
		{8, "magic"}, {4, "crc"}, {4, "version"}, {16, "fsid"}, {16, "device uuid"}, {8, "blocks"}, {8, "length"}, {8, "entries"},
		{8, "generation"}, {8, "epoch"}, {4, "finished"}, {4, "crc of the table"}, {4, "supers"}, {4, "superblock 0"}, {4, "superblock 1"},
		{undoHeader - undoSupers - 8, "zero"},
		{4, "entry 0: magic"}, {4, "crc"}, {8, "number"}, {8, "block"}, {4, "blocks"}, {4, "zero"}, {16, "old content"}, {layout.BlockSize - 16, "…"},
		{4, "table: entry 0, its block"},
	} {
		if at+x.n > len(f.p) {
			t.Fatalf("%s is beyond the end", x.name)
		}
		p := f.p[at : at+x.n]
		if x.n > 16 && isZero(p) {
			fmt.Fprintf(&b, "%4d  %-47s  %s\n", at, fmt.Sprintf("00*%d", x.n), x.name)
		} else {
			fmt.Fprintf(&b, "%4d  %-47s  %s\n", at, fmt.Sprintf("% x", p), x.name)
		}
		at += x.n
	}
	if at != len(f.p) {
		t.Errorf("%d bytes are not named", len(f.p)-at)
	}
	if !strings.Contains(string(text), "\n```\n"+b.String()+"```\n") {
		t.Errorf("%s does not show:\n%s", page, b.String())
	}
}
