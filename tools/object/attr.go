package object

import (
	"context"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// value is bytes in JSON: as they are if that is text, else in base64 with a
// mark in front.
func value(p []byte) string {
	if utf8.Valid(p) {
		return string(p)
	}
	return "base64:" + base64.StdEncoding.EncodeToString(p)
}

// pairs are the flags of attr and omap.
type pairs struct {
	set    string
	remove bool
	header bool // omap only
}

func (j *pairs) register(fs *pflag.FlagSet, what string) {
	fs.StringVar(&j.set, "set", "", "set "+what+" to `VALUE`; makes a missing object")
	fs.BoolVar(&j.remove, "rm", false, "remove "+what)
}

func (j *pairs) write(c *verb.Call) bool { return c.Flags.Changed("set") || j.remove }

func (j *pairs) check(c *verb.Call) error {
	change := j.write(c)
	switch {
	case c.Flags.Changed("set") && j.remove:
		return verb.Usage("--set and --rm contradict each other")
	case change && len(c.Args) < 3 && !j.header:
		return verb.Usage("--set and --rm want a KEY")
	case j.header && len(c.Args) > 2:
		return verb.Usage("--header takes no KEY")
	}
	return nil
}

// target is the object to change, made if it is missing, or to read.
func (j *pairs) target(ctx context.Context, c *verb.Call, s *session) (ebofs.ObjectID, error) {
	if !c.Flags.Changed("set") {
		if err := s.open(ctx); err != nil {
			return ebofs.ObjectID{}, err
		}
		return s.id(ctx, c.Args[1])
	}
	if err := s.create(ctx); err != nil {
		return ebofs.ObjectID{}, err
	}
	id, err := s.id(ctx, c.Args[1])
	if f := (*verb.Failure)(nil); asNotFound(err, &f) {
		return id, checkName(&id)
	}
	return id, err
}

// show prints all pairs, or the value of one.
func (j *pairs) show(c *verb.Call, s *session, all map[string][]byte, what string) error {
	if len(c.Args) < 3 {
		for _, k := range sortedKeys(all) {
			c.Printf("%s\n", printable(k))
			c.Row(map[string]any{"key": value([]byte(k)), "value": value(all[k]), "bytes": len(all[k])})
		}
		return nil
	}
	v, ok := all[c.Args[2]]
	if !ok {
		return &verb.Failure{Code: store.CodeNotFound, Message: fmt.Sprintf("%s: object %q has no %s %q", s.Path, c.Args[1], what, c.Args[2]), Err: ebofs.ErrNotFound}
	}
	if c.Plain() {
		_, err := c.Binary().Write(v)
		return err
	}
	c.Row(map[string]any{"key": value([]byte(c.Args[2])), "value": value(v), "bytes": len(v)})
	return nil
}

// attr is "attr".
type attr struct{ pairs }

func attrFlags(fs *pflag.FlagSet) job {
	j := &attr{}
	j.register(fs, "the attribute")
	return j
}

func (j *attr) run(ctx context.Context, c *verb.Call, s *session) error {
	id, err := j.target(ctx, c, s)
	if err != nil {
		return err
	}
	t := ebofs.NewTxn()
	switch {
	case j.remove:
		t.RmAttr(s.coll, id, c.Args[2])
		return s.Apply(ctx, t)
	case c.Flags.Changed("set"):
		t.SetAttr(s.coll, id, c.Args[2], []byte(j.set))
		return s.Apply(ctx, t)
	}
	all, err := s.GetAttrs(ctx, s.coll, id)
	if err != nil {
		return err
	}
	return j.show(c, s, all, "attribute")
}

// omap is "omap".
type omap struct{ pairs }

func omapFlags(fs *pflag.FlagSet) job {
	j := &omap{}
	j.register(fs, "the key")
	fs.BoolVar(&j.header, "header", false, "the map's header instead of a key")
	return j
}

func (j *omap) run(ctx context.Context, c *verb.Call, s *session) error {
	id, err := j.target(ctx, c, s)
	if err != nil {
		return err
	}
	if j.header {
		return j.runHeader(ctx, c, s, id)
	}
	t := ebofs.NewTxn()
	switch {
	case j.remove:
		t.OmapRm(s.coll, id, []string{c.Args[2]})
		return s.Apply(ctx, t)
	case c.Flags.Changed("set"):
		t.OmapSet(s.coll, id, map[string][]byte{c.Args[2]: []byte(j.set)})
		return s.Apply(ctx, t)
	case len(c.Args) > 2:
		one, err := s.OmapGet(ctx, s.coll, id, []string{c.Args[2]})
		if err != nil {
			return err
		}
		return j.show(c, s, one, "key")
	}
	return s.OmapIter(ctx, s.coll, id, "", "", func(k, v []byte) bool {
		c.Printf("%s\n", printable(string(k)))
		c.Row(map[string]any{"key": value(k), "value": value(v), "bytes": len(v)})
		return ctx.Err() == nil
	})
}

func (j *omap) runHeader(ctx context.Context, c *verb.Call, s *session, id ebofs.ObjectID) error {
	if c.Flags.Changed("set") || j.remove {
		t := ebofs.NewTxn()
		t.OmapSetHeader(s.coll, id, []byte(j.set))
		return s.Apply(ctx, t)
	}
	h, err := s.OmapHeader(ctx, s.coll, id)
	if err != nil {
		return err
	}
	if c.Plain() {
		_, err := c.Binary().Write(h)
		return err
	}
	c.Set(map[string]any{"header": value(h), "bytes": len(h)})
	return nil
}
