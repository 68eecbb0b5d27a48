package probe

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Finding is one thing a device was recognised to hold.
type Finding struct {
	Kind string `json:"kind"` // short name: "gpt", "ext4", "lvm"
	// Noun is what it is called in a sentence, with its article: "an ext4 file
	// system".
	Noun       string      `json:"-"`
	Label      string      `json:"label,omitempty"`
	UUID       string      `json:"uuid,omitempty"` // as its own tools print it
	Note       string      `json:"note,omitempty"` // "only its backup is left"
	Partitions []Partition `json:"partitions,omitempty"`
	// Marks are the bytes that make it recognisable, from the start of the
	// device; zeroing them is what Wipe does.
	Marks []Mark `json:"-"`
}

// Mark is a range of bytes of a device.
type Mark struct{ Offset, Length int64 }

// Partition is one entry of a partition table.
type Partition struct {
	Number   int       `json:"number"`
	Name     string    `json:"name"`            // "sdb1"; of the entry itself, not what is in it
	Label    string    `json:"label,omitempty"` // the table's own name for it
	Start    int64     `json:"start_bytes"`
	Bytes    int64     `json:"bytes"`
	Type     string    `json:"type"` // GUID, or two hex digits
	Findings []Finding `json:"findings,omitempty"`
	Store    *Store    `json:"store,omitempty"` // ours, inside the partition
}

// String describes the finding for a refusal: `a GPT partition table with 2
// partitions (sdb1 ext4 "backup", sdb2 swap)`.
func (f Finding) String() string {
	s := f.Noun
	if f.Kind == "gpt" || f.Kind == "dos" {
		s += " " + f.partitions()
	}
	if f.Label != "" {
		s += fmt.Sprintf(" %q", f.Label)
	}
	if f.Note != "" {
		s += " (" + f.Note + ")"
	}
	return s
}

func (f Finding) partitions() string {
	switch len(f.Partitions) {
	case 0:
		return "without partitions"
	case 1:
		return "with 1 partition (" + f.Partitions[0].String() + ")"
	}
	const shown = 6
	var names []string
	for i, p := range f.Partitions {
		if i == shown {
			names = append(names, fmt.Sprintf("and %d more", len(f.Partitions)-shown))
			break
		}
		names = append(names, p.String())
	}
	return fmt.Sprintf("with %d partitions (%s)", len(f.Partitions), strings.Join(names, ", "))
}

// String is `sdb1 ext4 "backup"`, or `sdb1 unknown`.
func (p Partition) String() string {
	var what []string
	if p.Store != nil {
		what = append(what, p.Store.String())
	}
	for _, f := range p.Findings {
		w := f.Kind
		if f.Label != "" {
			w += fmt.Sprintf(" %q", f.Label)
		}
		what = append(what, w)
	}
	if what == nil {
		what = []string{"unknown"}
	}
	return p.Name + " " + strings.Join(what, " and ")
}

// text returns the printable part of a fixed-length, NUL or blank padded name.
func text(p []byte) string {
	if i := strings.IndexByte(string(p), 0); i >= 0 {
		p = p[:i]
	}
	if !utf8.Valid(p) {
		return fmt.Sprintf("%q", p)
	}
	return strings.TrimRight(string(p), " ")
}

// uuid formats 16 bytes in order, "" if they are all zero or missing.
func uuid(p []byte) string {
	if len(p) != 16 || string(p) == string(make([]byte, 16)) {
		return ""
	}
	h := hex.EncodeToString(p)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// guid formats 16 bytes as GPT does: the first three fields little-endian.
func guid(p []byte) string {
	if len(p) != 16 {
		return ""
	}
	q := []byte{p[3], p[2], p[1], p[0], p[5], p[4], p[7], p[6]}
	return uuid(append(q, p[8:]...))
}
