package object

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// tempNamespace holds objects that are being written. It lies in the pool for
// temporary objects, and no NAME of the command line leads there.
const tempNamespace = "ebofs.import"

// tempOf is the key under which the new bytes of id wait for the last of them.
// It has the hash of id, so that it belongs to the same collection.
func tempOf(id ebofs.ObjectID) ebofs.ObjectID {
	if pool, ok := (layout.CollRange{Pool: id.Pool}).TempPool(); ok {
		id.Pool = pool
	}
	id.Namespace = tempNamespace
	return id
}

// isTemp reports whether an object is one of ours that has no name yet.
func isTemp(id *ebofs.ObjectID) bool { return id.Namespace == tempNamespace && id.Pool < 0 }

// copyIn replaces an object by what in holds, whole or not at all. The last
// transaction sets attrs. Up to len(buf) bytes that is the only one; a longer
// object grows under a temporary key and takes its name in the last one.
func (s *session) copyIn(ctx context.Context, id ebofs.ObjectID, in io.Reader, buf []byte, attrs map[string][]byte) (total int64, err error) {
	old, err := s.Exists(ctx, s.coll, id)
	if err != nil {
		return 0, err
	}
	// A transaction is waited for even when ctx ends: whoever is told
	// "interrupted" is to know what is stored.
	lasting := context.WithoutCancel(ctx)
	target, begun := id, false
	defer func() {
		if err == nil || !begun {
			return
		}
		t := ebofs.NewTxn()
		t.Remove(s.coll, target)
		if e := s.Apply(lasting, t); e != nil && s.Err() == nil {
			err = errors.Join(err, e)
		}
	}()
	for {
		n, readErr := io.ReadFull(in, buf)
		last := errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF)
		if readErr != nil && !last {
			return total, readErr
		}
		if err := ctx.Err(); err != nil {
			return total, err
		}
		t := ebofs.NewTxn()
		switch {
		case last && !begun && old:
			t.Remove(s.coll, id)
		case !last && !begun:
			target = tempOf(id)
			left, err := s.Exists(ctx, s.coll, target)
			if err != nil {
				return 0, err
			}
			if left { // sweep could not
				t.Remove(s.coll, target)
			}
		}
		switch {
		case n > 0:
			t.Write(s.coll, target, uint64(total), buf[:n])
		case !begun:
			t.Touch(s.coll, target)
		}
		if last && begun {
			if old {
				t.Remove(s.coll, id)
			}
			t.Rename(s.coll, target, id)
		}
		if last && attrs != nil {
			t.SetAttrs(s.coll, id, attrs)
		}
		if err := s.Apply(lasting, t); err != nil {
			return total, s.noRoom(err, id, old)
		}
		begun, total = true, total+int64(n)
		if last {
			return total, nil
		}
	}
}

// noRoom explains a full store: for a moment a replaced object is there twice.
func (s *session) noRoom(err error, id ebofs.ObjectID, old bool) error {
	if !old || !errors.Is(err, ebofs.ErrNoSpace) {
		return err
	}
	have := ""
	if st, err := s.Stat(context.Background(), s.coll, id); err == nil {
		have = " " + sizes.Human(st.Size)
	}
	args := []string{s.Path, "rm"}
	if s.coll != DefaultCollection {
		args = append(args, "--collection", string(s.coll))
	}
	return &verb.Failure{Code: store.CodeNoSpace, Err: err,
		Message: fmt.Sprintf("%s: the store is full: no room for new bytes of %s beside its old%s", s.Path, printable(shorten(id.Name)), have),
		Hint:    "It is as it was. To give up the old bytes first: " + s.c.Command("object", append(args, id.Name)...)}
}

// sweep removes what killed sessions left under temporary keys. They come first
// in the listing, so that this costs little when there are none.
func (s *session) sweep(ctx context.Context) error {
	var from, end *ebofs.ObjectID
	if pool, ok := (layout.CollRange{Pool: s.pool}).TempPool(); ok {
		end = &ebofs.ObjectID{Shard: s.shard, Pool: pool + 1}
	}
	for first := true; first || from != nil; first = false {
		ids, next, err := s.List(ctx, s.coll, from, end, 1000)
		if err != nil {
			return err
		}
		for i := range ids {
			if !isTemp(&ids[i]) {
				continue
			}
			t := ebofs.NewTxn()
			t.Remove(s.coll, ids[i])
			if err := s.Apply(ctx, t); err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}
