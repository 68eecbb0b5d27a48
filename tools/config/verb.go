package config

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/tools/daemon"
	"ebofs/tools/verb"
)

// Verb describes "config".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "config", Short: "show, compare and check the configuration of daemons", Schema: "ebofs.config/1",
		Long: `The configuration is ceph.conf, the file that clients read, too. show prints every option of a daemon with its value and where that is from: default, file and line, environment (CEPH_ARGS, EBOFS_OPTION) or --set; the later one wins, and in the file [osd.0] over [osd] over [global]. NAME is osd.0, mon.a, client.admin. diff prints those that are not the default.

A running daemon may have been told otherwise by the central database (ceph config set) or by hand: ebofs admin NAME config show. Secrets are shown as [redacted].

check reads all of FILE and what it includes: text that is no configuration and values that do not fit are errors; unknown options (with the nearest known name), options and sections that nobody reads and lines that a later one overrides are warnings, for a file may serve programs that know more.`,
		Actions: []verb.Action{
			{Name: "show", Args: "NAME [OPTION]", Short: "every option of a daemon, or one: value and source", Schema: "ebofs.config.show/1", Rows: "options", New: func(fs *pflag.FlagSet) verb.Run {
				j := &showing{}
				j.add(fs)
				return j.show
			}},
			{Name: "diff", Args: "NAME", Short: "the options that are not the default", Schema: "ebofs.config.diff/1", Rows: "options", New: func(fs *pflag.FlagSet) verb.Run {
				j := &showing{}
				j.add(fs)
				return j.diff
			}},
			{Name: "check", Args: "[FILE]", Short: "what is wrong with a configuration file", Schema: "ebofs.config.check/1", Rows: "findings", New: func(fs *pflag.FlagSet) verb.Run {
				j := &checking{}
				fs.StringVar(&j.cluster, "cluster", "ceph", "`NAME` of the cluster, for the file to check")
				fs.BoolVar(&j.strict, "strict", false, "warnings are errors")
				return j.run
			}},
		},
		Exits: []verb.Exit{
			{Code: 0, Text: "done; check: nothing wrong, or warnings alone"},
			{Code: 1, Text: "failed; check: something is wrong"},
			{Code: 2, Text: "wrong usage"},
		},
		Examples: []verb.Example{
			{Command: "ebofs config show osd.0", Text: "every option of osd.0"},
			{Command: "ebofs config show osd.0 osd_memory_target", Text: "one of them"},
			{Command: "ebofs config diff mon.a -c test.conf", Text: "what test.conf and the environment change"},
			{Command: "ebofs config check /etc/ceph/ceph.conf", Text: "before the daemons read it"},
		},
		SeeAlso: []string{"mon", "osd", "admin"},
	}
}

// showing is a run of "show" or "diff".
type showing struct {
	conf, cluster string
	set           []string
}

func (j *showing) add(fs *pflag.FlagSet) {
	fs.StringVarP(&j.conf, "conf", "c", "", "`FILE` of the configuration; default: $CEPH_CONF, else /etc/ceph/CLUSTER.conf")
	fs.StringVar(&j.cluster, "cluster", "ceph", "`NAME` of the cluster, for default paths")
	fs.StringArrayVar(&j.set, "set", nil, "as if the daemon was given option `NAME=VALUE`; may be given again")
}

func (j *showing) load(c *verb.Call) (*conf.Config, error) {
	name, err := ceph.ParseEntityName(c.Args[0])
	if err != nil {
		return nil, verb.Usage(fmt.Sprintf("NAME %q: it is as osd.0, mon.a or client.admin", c.Args[0]))
	}
	var args []string
	for _, s := range j.set {
		args = append(args, "--"+s)
	}
	cfg, warnings, err := conf.New(conf.Load{Name: name, Cluster: j.cluster, Path: j.conf, Getenv: c.Getenv, Args: args})
	if err != nil {
		return nil, &verb.Failure{Code: daemon.CodeConfig, Message: err.Error(), Err: err}
	}
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	return cfg, nil
}

// row is an option as it is shown.
type row struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Source  string `json:"source"`
	Where   string `json:"where"` // file and line, or the variable
	Help    string `json:"help"`
}

func rowOf(s conf.Setting) row {
	r := row{s.Name, s.Shown(), s.Default, s.Source.String(), s.Where, s.Help}
	if s.Secret && r.Default != "" {
		r.Default = s.Shown()
	}
	return r
}

func (j *showing) show(_ context.Context, c *verb.Call) error {
	cfg, err := j.load(c)
	if err != nil {
		return err
	}
	if len(c.Args) == 1 {
		for _, s := range cfg.All() {
			r := rowOf(s)
			c.Row(r)
			c.Printf("%-36s %-44s %s\n", r.Name, shown(r.Value), r.from())
		}
		return nil
	}
	o, ok := conf.Lookup(c.Args[1])
	if !ok {
		text := fmt.Sprintf("no option %s", conf.Key(c.Args[1]))
		if n := conf.Nearest(c.Args[1]); n != "" {
			text += "; did you mean " + n + "?"
		}
		return &verb.Failure{Code: daemon.CodeConfig, Message: text, Hint: "All: " + c.Command("config", "show", c.Args[0])}
	}
	r := rowOf(cfg.Get(o.Name))
	c.Row(r)
	c.Printf("%s = %s\n  from %s, default %s\n  %s\n", r.Name, shown(r.Value), r.from(), shown(r.Default), r.Help)
	return nil
}

func (j *showing) diff(_ context.Context, c *verb.Call) error {
	cfg, err := j.load(c)
	if err != nil {
		return err
	}
	for _, s := range cfg.Changed() {
		r := rowOf(s)
		c.Row(r)
		c.Printf("%s: %s -> %s, from %s\n", r.Name, shown(r.Default), shown(r.Value), r.from())
	}
	return nil
}

// from says where the value is from.
func (r row) from() string {
	switch {
	case r.Where == "" || r.Source == conf.Default.String():
		return r.Source
	case r.Source == conf.FromFile.String():
		return r.Where
	}
	return r.Source + " " + r.Where
}

// shown is a value that can be seen.
func shown(v string) string {
	if v == "" {
		return `""`
	}
	return v
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}
