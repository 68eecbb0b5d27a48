package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"ebofs/ebofs"
)

// worker imports one entry at a time.
type worker struct {
	*importer
	ctx context.Context
	buf []byte
}

// firstBuffer holds most files whole; a larger file lets its worker's buffer
// grow to a piece.
const firstBuffer = 64 << 10

func (w *worker) one(e entry) {
	meta, ok := metaOf(e.info)
	kind := meta.mode & unix.S_IFMT
	switch {
	case !ok:
		w.report(e.path, errors.New("no status to be had"))
		return
	case kind != unix.S_IFREG && kind != unix.S_IFDIR && kind != unix.S_IFLNK:
		w.report(e.path, errors.New("neither a file, a directory nor a link"))
		return
	}
	id := ebofs.NewObjectID(w.s.pool, e.name)
	if err := checkName(&id); err != nil {
		w.report(e.path, err)
		return
	}
	if w.resume {
		same, err := w.same(id, e.info, &meta)
		if err == nil && same {
			err = w.catchUp(e)
		}
		if err != nil {
			w.refused(e, err)
			return
		}
		if same {
			w.skipped.Add(1)
			w.meter.Add(1, e.info.Size())
			return
		}
	}
	sum := sha256.New()
	had, replaces := w.known[e.name]
	var err error
	if replaces {
		err = w.line(notKnown, 0, e.name)
	}
	var n int64
	if err == nil {
		n, err = w.store(id, e, &meta, sum)
		switch {
		case err == nil:
			err = w.addLine(sum, n, e.name)
		case replaces && w.s.Err() == nil: // the old one is whole
			err = errors.Join(err, w.line(had.SHA256, had.Size, e.name))
		}
	}
	if err != nil {
		w.refused(e, err)
		return
	}
	switch kind {
	case unix.S_IFDIR:
		w.dirs.Add(1)
	case unix.S_IFLNK:
		w.links.Add(1)
	default:
		w.files.Add(1)
	}
	w.bytes.Add(n)
	w.meter.Add(1, n)
}

// catchUp writes the journal's line for an object that is there although the
// journal does not name it: the import was killed between commit and line. The
// checksum is the file's, so that a later comparison means something.
func (w *worker) catchUp(e entry) error {
	if w.journal == nil {
		return nil
	}
	if _, ok := w.known[e.name]; ok {
		return nil
	}
	sum := sha256.New()
	var n int64
	if e.info.Mode().IsRegular() {
		f, err := os.Open(e.path)
		if err != nil {
			return err
		}
		defer f.Close()
		if n, err = io.Copy(sum, f); err != nil {
			return err
		}
	}
	return w.addLine(sum, n, e.name)
}

func (w *worker) addLine(sum hash.Hash, n int64, name string) error {
	return w.line(hex.EncodeToString(sum.Sum(nil)), n, name)
}

func (w *worker) line(sum string, n int64, name string) error {
	if err := w.journal.add(sum, n, name); err != nil {
		return &journalError{fmt.Errorf("%s: %w", w.acked, err)}
	}
	return nil
}

// refused ends the import if err concerns all of it, and else reports the entry:
// a damaged place of the store costs the names that belong there.
func (w *worker) refused(e entry, err error) {
	if w.s.Err() != nil || concernsAll(err) {
		w.fatal(err)
		return
	}
	w.report(e.path, err)
}

// same reports whether the object is the file already.
func (w *worker) same(id ebofs.ObjectID, info fs.FileInfo, meta *fileMeta) (bool, error) {
	attrs, err := w.s.GetAttrs(w.ctx, w.s.coll, id)
	if errors.Is(err, ebofs.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	have, ok := decodeMeta(attrs)
	if !ok || have.mode != meta.mode || !have.mtime.Equal(meta.mtime) {
		return false, nil
	}
	if !info.Mode().IsRegular() {
		return true, nil
	}
	st, err := w.s.Stat(w.ctx, w.s.coll, id)
	return err == nil && st.Size == uint64(info.Size()), err
}

// store writes the entry as one object; sum takes its bytes.
func (w *worker) store(id ebofs.ObjectID, e entry, meta *fileMeta, sum hash.Hash) (int64, error) {
	var in io.Reader = bytes.NewReader(nil)
	switch {
	case meta.isSymlink():
		target, err := os.Readlink(e.path)
		if err != nil {
			return 0, err
		}
		meta.target = target
	case !meta.isDir():
		f, err := os.OpenFile(e.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		in = f
		if size := e.info.Size(); size >= int64(len(w.buf)) && len(w.buf) < pieceBytes {
			w.buf = make([]byte, pieceBytes)
		}
	}
	if w.acked != "" {
		in = io.TeeReader(in, sum)
	}
	return w.s.copyIn(w.ctx, id, in, w.buf, meta.encode())
}

// journalError is an error of the --acked journal.
type journalError struct{ err error }

func (e *journalError) Error() string { return e.err.Error() }
func (e *journalError) Unwrap() error { return e.err }

// concernsAll tells an error that the next entry would meet, too, from one of
// the file, of its name, or of the place in the store where it belongs.
func concernsAll(err error) bool {
	var journal *journalError
	return errors.As(err, &journal) || errors.Is(err, ebofs.ErrNoSpace) || errors.Is(err, ebofs.ErrReadOnly) || errors.Is(err, ebofs.ErrClosed)
}
