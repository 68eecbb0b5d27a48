package object

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Attributes that hold what a file has beside its bytes; see the package.
const (
	attrMode    = "file.mode"
	attrMTime   = "file.mtime"
	attrSymlink = "file.symlink"
)

// fileMeta is what those attributes say.
type fileMeta struct {
	mode   uint32 // st_mode
	mtime  time.Time
	target string // of a symbolic link
}

func (m *fileMeta) isDir() bool     { return m.mode&unix.S_IFMT == unix.S_IFDIR }
func (m *fileMeta) isSymlink() bool { return m.mode&unix.S_IFMT == unix.S_IFLNK }

// metaOf takes what is kept from a file's status.
func metaOf(info fs.FileInfo) (fileMeta, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileMeta{}, false
	}
	return fileMeta{mode: st.Mode, mtime: time.Unix(st.Mtim.Unix())}, true
}

// encode returns the attributes.
func (m *fileMeta) encode() map[string][]byte {
	attrs := map[string][]byte{
		attrMode:  fmt.Appendf(nil, "%06o", m.mode),
		attrMTime: fmt.Appendf(nil, "%d.%09d", m.mtime.Unix(), m.mtime.Nanosecond()),
	}
	if m.isSymlink() {
		attrs[attrSymlink] = []byte(m.target)
	}
	return attrs
}

// decodeMeta reads the attributes of an object; ok is false if it was not made
// by an import, or not completed.
func decodeMeta(attrs map[string][]byte) (m fileMeta, ok bool) {
	mode, err := strconv.ParseUint(string(attrs[attrMode]), 8, 32)
	if err != nil {
		return m, false
	}
	sec, nsec, found := strings.Cut(string(attrs[attrMTime]), ".")
	s, err1 := strconv.ParseInt(sec, 10, 64)
	n, err2 := strconv.ParseUint(nsec, 10, 32)
	if !found || err1 != nil || err2 != nil || len(nsec) != 9 {
		return m, false
	}
	m = fileMeta{mode: uint32(mode), mtime: time.Unix(s, int64(n)), target: string(attrs[attrSymlink])}
	return m, !m.isSymlink() || m.target != ""
}

// checkName refuses a name that cannot be an object's.
func checkName(id *ebofs.ObjectID) error {
	switch err := id.Check(); {
	case id.Name == "":
		return &verb.Failure{Code: store.CodeName, Message: "an object's name cannot be empty"}
	case !utf8.ValidString(id.Name):
		return &verb.Failure{Code: store.CodeName, Message: "the name is not UTF-8"}
	case err != nil:
		return &verb.Failure{Code: store.CodeName, Message: fmt.Sprintf("a name of %d bytes, at most %d", len(id.Name), layout.MaxNameBytes), Err: err}
	}
	return nil
}

// shorten keeps a message about a long name readable.
func shorten(s string) string {
	if len(s) <= 80 {
		return s
	}
	return s[:60] + "…" + s[len(s)-16:]
}

func asNotFound(err error, f **verb.Failure) bool {
	return errors.As(err, f) && (*f).Code == store.CodeNotFound
}
