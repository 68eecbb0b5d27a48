package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/tools/output"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// list is "ls".
type list struct{ long, full, collections bool }

func listFlags(fs *pflag.FlagSet) job {
	j := &list{}
	fs.BoolVarP(&j.long, "long", "l", false, "with sizes")
	fs.BoolVar(&j.full, "full", false, "names in full: pool, hash, namespace, key, snapshot")
	fs.BoolVar(&j.collections, "collections", false, "list collections instead")
	return j
}

func (*list) write(*verb.Call) bool { return false }

func (j *list) run(ctx context.Context, c *verb.Call, s *session) error {
	if j.collections {
		all, err := s.Collections(ctx)
		if err != nil {
			return err
		}
		for _, id := range all {
			c.Printf("%s\n", printable(string(id)))
			c.Row(map[string]string{"collection": string(id)})
		}
		return nil
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	type row struct {
		Name string  `json:"name"`
		Key  string  `json:"key"`
		Size *uint64 `json:"bytes,omitempty"`
	}
	return s.each(ctx, func(id *ebofs.ObjectID) error {
		r := row{Name: s.name(id), Key: id.String()}
		shown := printable(r.Name)
		if j.full {
			shown = r.Key
		}
		if j.long {
			st, err := s.Stat(ctx, s.coll, *id)
			if err != nil {
				return err
			}
			r.Size = &st.Size
			shown = fmt.Sprintf("%12d  %s", st.Size, shown)
		}
		c.Row(r)
		c.Printf("%s\n", shown)
		return nil
	})
}

// get is "get".
type get struct{}

func getFlags(*pflag.FlagSet) job { return &get{} }

func (*get) write(*verb.Call) bool { return false }

func (*get) check(c *verb.Call) error {
	if len(c.Args) == 2 && !c.Plain() {
		return verb.Usage("get writes the object's bytes to stdout: name a FILE with --format " + string(c.Format))
	}
	return nil
}

func (*get) run(ctx context.Context, c *verb.Call, s *session) (err error) {
	if err := s.open(ctx); err != nil {
		return err
	}
	id, err := s.id(ctx, c.Args[1])
	if err != nil {
		return err
	}
	var w io.Writer = c.Binary()
	if len(c.Args) > 2 && c.Args[2] != "-" {
		f, createErr := output.Create(c.Args[2], s.Path)
		if createErr != nil {
			return createErr
		}
		defer func() { err = f.Done(err) }()
		w = f
	}
	n, err := s.copyOut(ctx, id, w)
	c.Set(map[string]any{"name": c.Args[1], "bytes": n})
	return err
}

// pieceBytes is how much of an object is read or written at once: large enough
// for the device, small enough that many files fit in memory.
const pieceBytes = 4 << 20

// copyOut writes an object's bytes to w.
func (s *session) copyOut(ctx context.Context, id ebofs.ObjectID, w io.Writer) (total int64, err error) {
	st, err := s.Stat(ctx, s.coll, id)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, min(pieceBytes, st.Size))
	for off := uint64(0); off < st.Size; {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := s.Read(ctx, s.coll, id, off, buf[:min(uint64(len(buf)), st.Size-off)])
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, fmt.Errorf("object %s: ends at byte %d of %d: %w", id, off, st.Size, io.ErrUnexpectedEOF)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return total, err
		}
		off += uint64(n)
		total += int64(n)
	}
	return total, nil
}

// put is "put".
type put struct{}

func putFlags(*pflag.FlagSet) job { return &put{} }

func (*put) write(*verb.Call) bool { return true }

func (*put) check(c *verb.Call) error {
	// An empty name or one that is not UTF-8 is refused with every other object's.
	if name := c.Args[1]; utf8.ValidString(name) && name != "" && (!isPath(name) || name == ".") {
		return &verb.Failure{Code: store.CodeName, Message: fmt.Sprintf("%q is no path below a directory: export could not write that object", shorten(name)), Hint: "Nothing was written."}
	}
	return nil
}

func (*put) run(ctx context.Context, c *verb.Call, s *session) error {
	if err := s.create(ctx); err != nil {
		return err
	}
	id := ebofs.NewObjectID(s.pool, c.Args[1])
	if err := checkName(&id); err != nil {
		return err
	}
	in := c.In
	if c.Args[2] != "-" {
		f, err := os.Open(c.Args[2])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	n, err := s.copyIn(ctx, id, in, make([]byte, pieceBytes), nil)
	if err != nil && ctx.Err() != nil {
		return &verb.Failure{Code: verb.CodeCancelled, Message: fmt.Sprintf("%s: interrupted: %s is as it was", s.Path, printable(shorten(c.Args[1]))), Err: err}
	}
	if err != nil {
		return err
	}
	c.Set(map[string]any{"name": c.Args[1], "bytes": n})
	return nil
}

// clone is "clone".
type clone struct{}

func cloneFlags(*pflag.FlagSet) job { return &clone{} }

func (*clone) write(*verb.Call) bool { return true }

func (*clone) run(ctx context.Context, c *verb.Call, s *session) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	from, err := s.id(ctx, c.Args[1])
	if err != nil {
		return err
	}
	to := ebofs.NewObjectID(s.pool, c.Args[2])
	if err := checkName(&to); err != nil {
		return err
	}
	t := ebofs.NewTxn()
	t.Clone(s.coll, from, to)
	if err := s.Apply(ctx, t); err != nil {
		return err
	}
	st, err := s.Stat(ctx, s.coll, to)
	c.Set(map[string]any{"name": c.Args[1], "to": c.Args[2], "bytes": st.Size})
	return err
}

// rm is "rm".
type rm struct{}

func rmFlags(*pflag.FlagSet) job { return &rm{} }

func (*rm) write(*verb.Call) bool { return true }

func (*rm) run(ctx context.Context, c *verb.Call, s *session) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	ids, err := s.allOf(ctx, c.Args[1:])
	if err != nil {
		return err
	}
	// Few objects go in one transaction; many in several that fit any log. A full
	// store has room for the checkpoint of few removes at a time, of one always.
	size := 1000
	for done := 0; done < len(ids); {
		batch := ids[done:min(done+size, len(ids))]
		t := ebofs.NewTxn()
		for _, n := range batch {
			t.Remove(s.coll, n.id)
		}
		err := s.Apply(ctx, t)
		if errors.Is(err, ebofs.ErrNoSpace) && len(batch) > 1 {
			size = len(batch) / 2
			continue
		}
		if err != nil {
			what := "nothing was removed"
			if done > 0 {
				what = fmt.Sprintf("only the first %d were removed", done)
			}
			f := &verb.Failure{Code: verb.CodeFailed, Message: err.Error(), Err: err}
			errors.As(store.Explain(c, s.Path, err), &f)
			return &verb.Failure{Code: f.Code, Message: f.Message + "; " + what, Hint: f.Hint, Err: err}
		}
		for _, n := range batch {
			c.Row(map[string]string{"name": n.word})
		}
		done += len(batch)
	}
	return nil
}

// named is an object and the word that means it.
type named struct {
	word string
	id   ebofs.ObjectID
}

// allOf finds the object of each word, once, or says of each word that means
// none.
func (s *session) allOf(ctx context.Context, words []string) (all []named, err error) {
	seen := map[ebofs.ObjectID]bool{}
	var missing []string
	for _, word := range words {
		id, err := s.id(ctx, word)
		var f *verb.Failure
		switch {
		case err != nil && asNotFound(err, &f):
			missing = append(missing, strconv.Quote(word))
		case err != nil:
			return nil, err
		case !seen[id]:
			seen[id] = true
			all = append(all, named{word, id})
		}
	}
	if missing == nil {
		return all, nil
	}
	const shown = 10
	if more := len(missing) - shown; more > 0 {
		missing = append(missing[:shown], fmt.Sprintf("and %d more", more))
	}
	f := &verb.Failure{Code: store.CodeNotFound, Message: fmt.Sprintf("%s: no object %s in collection %q", s.Path, strings.Join(missing, ", "), s.coll), Err: ebofs.ErrNotFound}
	if len(words) > 1 {
		f.Hint = "Nothing was removed."
	}
	return nil, f
}

// stat is "stat".
type stat struct{}

func statFlags(*pflag.FlagSet) job { return &stat{} }

func (*stat) write(*verb.Call) bool { return false }

// statResult is the JSON of "stat".
type statResult struct {
	Name    string            `json:"name"`
	Key     string            `json:"key"`
	ID      uint64            `json:"id"`
	Bytes   uint64            `json:"bytes"`
	Mapped  uint64            `json:"mapped_bytes"` // not holes
	Extents int               `json:"extents"`
	Attrs   map[string]string `json:"attrs"` // as text; see value
	Mode    string            `json:"mode,omitempty"`
	MTime   *time.Time        `json:"mtime,omitempty"`
	Damage  string            `json:"damage,omitempty"` // what of the above is not known
}

func (*stat) run(ctx context.Context, c *verb.Call, s *session) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	id, err := s.id(ctx, c.Args[1])
	if err != nil {
		return err
	}
	// What is damaged does not hide the rest.
	var damage error
	note := func(what string, err error) error {
		if err != nil {
			err = fmt.Errorf("object %s: %s: %w", printable(s.name(&id)), what, err)
		}
		if err == nil || !errors.Is(err, ebofs.ErrCorrupt) {
			return err
		}
		damage = errors.Join(damage, err)
		return nil
	}
	st, err := s.Stat(ctx, s.coll, id)
	if err != nil {
		return errors.Join(note("onode", err), damage)
	}
	r := statResult{Name: s.name(&id), Key: id.String(), ID: st.ID, Bytes: st.Size, Attrs: map[string]string{}}
	mapped, err := s.Fiemap(ctx, s.coll, id, 0, st.Size)
	known := err == nil
	if err := note("extents", err); err != nil {
		return err
	}
	r.Extents = len(mapped)
	for _, e := range mapped {
		r.Mapped += e.Length
	}
	attrs, err := s.GetAttrs(ctx, s.coll, id)
	if err := note("attributes", err); err != nil {
		return err
	}
	for k, v := range attrs {
		r.Attrs[k] = value(v)
	}
	meta, isFile := decodeMeta(attrs)
	if isFile {
		r.Mode, r.MTime = fmt.Sprintf("%06o", meta.mode), &meta.mtime
	}
	if damage != nil {
		r.Damage = damage.Error()
	}
	c.Set(r)
	where := "damaged"
	if known {
		where = fmt.Sprintf("%d in %d ranges", r.Mapped, r.Extents)
	}
	c.Printf("name     %s\nkey      %s\nsize     %d (%s)\nmapped   %s\n", printable(r.Name), r.Key, r.Bytes, sizes.Human(r.Bytes), where)
	if isFile {
		c.Printf("mode     %s\nmodified %s\n", r.Mode, meta.mtime.UTC().Format(time.RFC3339Nano))
	}
	for _, k := range sortedKeys(attrs) {
		c.Printf("attr     %s (%d bytes)\n", printable(k), len(attrs[k]))
	}
	return damage
}
