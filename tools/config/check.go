package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/tools/daemon"
	"ebofs/tools/verb"
)

// checking is a run of "check".
type checking struct {
	cluster string
	strict  bool
}

// finding is one thing that is wrong, or odd.
type finding struct {
	Severity string `json:"severity"` // "error", "warning"
	Path     string `json:"file"`
	Line     int    `json:"line"`
	Section  string `json:"section"`
	Option   string `json:"option"`
	Text     string `json:"text"`
}

func (j *checking) run(_ context.Context, c *verb.Call) error {
	path := "/etc/ceph/" + j.cluster + ".conf"
	if p := c.Getenv("CEPH_CONF"); p != "" {
		path = p
	}
	if len(c.Args) > 0 {
		path = c.Args[0]
	}
	f, err := conf.Read(path)
	var system *fs.PathError
	if errors.As(err, &system) && system.Path == path {
		return err
	}
	if err != nil { // it names file and line
		return &verb.Failure{Code: daemon.CodeConfig, Message: strings.TrimSuffix(err.Error(), ": "+conf.ErrSyntax.Error()), Err: err}
	}
	errs, warnings := 0, 0
	for _, x := range inspect(f) {
		if x.Severity == "error" {
			errs++
		} else {
			warnings++
		}
		c.Row(x)
		c.Printf("%s:%d: %s: %s\n", x.Path, x.Line, x.Severity, x.Text)
	}
	if errs > 0 || j.strict && warnings > 0 {
		return &verb.Failure{Code: daemon.CodeConfig, Message: fmt.Sprintf("%s: %d errors, %d warnings, named above", path, errs, warnings)}
	}
	c.Printf("%s: %d options in force, %d warnings\n", path, len(f.Lines), warnings)
	return nil
}

// inspect returns what is to be said of a file, in its order.
func inspect(f *conf.File) (list []finding) {
	say := func(l conf.Line, severity, format string, args ...any) {
		list = append(list, finding{severity, l.Path, l.Number, l.Section, l.Key, fmt.Sprintf(format, args...)})
	}
	odd := map[string]bool{} // sections that were named
	for i, l := range f.Lines {
		who := readers(l.Section)
		if who == "" && !odd[l.Section] {
			odd[l.Section] = true
			say(l, "warning", "nobody reads section [%s]: it is global, mon, osd, client, or one of them with an id as osd.0", l.Section)
		}
		if d, ok := f.Find(l.Key, l.Section); ok && (d.Path != l.Path || d.Number != l.Number) {
			say(l, "warning", "%s is given again in [%s] at %s, and that counts", l.Key, l.Section, d.Where())
		}
		o, ok := conf.Lookup(l.Key)
		if !ok {
			text := "unknown option " + l.Key
			if n := conf.Nearest(l.Key); n != "" {
				text += "; did you mean " + n + "?"
			}
			say(f.Lines[i], "warning", "%s", text)
			continue
		}
		if len(o.Who) > 0 && who != "" && who != "global" && !slices.Contains(o.Who, who) {
			say(l, "warning", "%s is an option of %s, which does not read [%s]", l.Key, strings.Join(o.Who, " and "), l.Section)
		}
		if l.Value == "" || strings.Contains(l.Value, "$") {
			continue // what it becomes is known once there is a daemon
		}
		if err := o.Check(l.Value); err != nil {
			say(l, "error", "%v", err)
			continue
		}
		if text := meaning(l); text != "" {
			say(l, "error", "%s", text)
		}
	}
	return list
}

// readers returns the type of entity that reads a section, "global" for all, or "".
func readers(section string) string {
	if section == "global" {
		return section
	}
	kind, id, dot := strings.Cut(section, ".")
	if dot && id == "" || !slices.Contains([]string{"mon", "mgr", "osd", "mds", "client"}, kind) {
		return ""
	}
	return kind
}

// meaning says what is wrong with a value of the right kind, or "".
func meaning(l conf.Line) string {
	switch l.Key {
	case "fsid":
		if _, err := ceph.ParseUUID(l.Value); err != nil {
			return fmt.Sprintf("fsid %q: not an id as uuidgen makes", l.Value)
		}
	case "mon_host":
		cfg := conf.Defaults(ceph.EntityName{Type: ceph.TypeClient, ID: "admin"})
		_ = cfg.Set(conf.FromFile, l.Key, l.Value)
		if _, err := cfg.Monitors(); err != nil {
			return err.Error()
		}
	}
	return ""
}
