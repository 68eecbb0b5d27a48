package mon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
)

// What `ceph tell mon.X` asks of one monitor.
func init() {
	tell("r", "version", "get ceph version", func(c *call) error {
		return c.print(map[string]string{"version": Version, "release": "pacific", "release_type": "stable"}, nil)
	})
	tell("r", "git_version", "get git sha1", func(c *call) error { return c.print(map[string]string{"git_version": Version}, nil) })
	tell("r", "mon_status", "report status of monitors", func(c *call) error { return c.print(c.m.status(c.st), nil) })
	tell("r", "config show", "show all options", cmdTellShow)
	tell("r", "config diff", "show the options that are not defaults, and who set them", func(c *call) error { return c.configDiff("") })
	tell("r", "config diff get var:CephString", "show an option if it is not its default", func(c *call) error {
		s, _ := c.str("var")
		return c.configDiff(s)
	})
	tell("r", "config get var:CephString", "show an option", cmdTellGet)
	tell("r", "config help [var:CephString]", "say what options are", cmdTellHelp)
	tell("rw", "config set var:CephString val:CephString…", "set an option until the daemon ends", cmdTellSet)
	tell("rw", "config unset var:CephString", "take back what config set has set", cmdTellUnset)
	tell("rw", "injectargs injected_args:CephString…", "set options until the daemon ends", cmdInject)
	tell("r", "ops", "show the ops currently in flight", func(c *call) error { return c.print(map[string]any{"ops": []string{}, "num_ops": 0}, nil) })
	tell("r", "sessions", "list existing sessions", cmdSessions)
	tell("rw", "log flush", "flush log entries to log file", func(c *call) error { return c.print(empty{}, nil) })
	tell("r", "perf dump", "dump perf counters value", cmdPerfDump)
}

// theOption reads the argument var.
func (c *call) theOption() (conf.Option, error) {
	name, _ := c.str("var")
	o, ok := conf.Lookup(name)
	if !ok {
		return o, fail(ceph.ENOENT, "error getting '%s': (2) No such file or directory", name)
	}
	return o, nil
}

func cmdTellShow(c *call) error {
	out := map[string]string{"name": "mon." + c.m.cfg.Name, "cluster": c.m.cfg.Options.Cluster}
	for _, s := range c.m.cfg.Options.All() {
		out[s.Name] = s.Shown()
	}
	return c.print(out, nil)
}

// configDiff shows what is not as the defaults are: each source that says
// something, and what counts.
func (c *call) configDiff(only string) error {
	diff := map[string]map[string]any{}
	for _, s := range c.m.cfg.Options.Changed() {
		if only == "" || s.Name == conf.Key(only) {
			v := typed(s.Option, s.Shown())
			diff[s.Name] = map[string]any{"default": typed(s.Option, s.Default), s.Source.String(): v, "final": v}
		}
	}
	return c.print(map[string]any{"diff": diff}, nil)
}

func cmdTellGet(c *call) error {
	o, err := c.theOption()
	if err != nil {
		return err
	}
	return c.print(map[string]string{o.Name: c.m.cfg.Options.Get(o.Name).Shown()}, nil)
}

func cmdTellHelp(c *call) error {
	if _, ok := c.str("var"); !ok {
		all := []helpJSON{}
		for _, o := range conf.Options() {
			all = append(all, optionHelp(o))
		}
		return c.print(map[string]any{"options": all}, nil)
	}
	o, err := c.theOption()
	if err != nil {
		return err
	}
	return c.print(map[string]any{"option": optionHelp(o)}, nil)
}

// inject changes an option of this monitor until it ends.
func (c *call) inject(name, value string) error {
	if _, ok := conf.Lookup(name); !ok {
		return fail(ceph.EINVAL, "error setting '%s' to '%s': (2) No such file or directory", name, value)
	}
	if err := c.m.cfg.Options.Set(conf.Override, name, value); err != nil {
		return fail(ceph.EINVAL, "error setting '%s' to '%s': %v", name, value, err)
	}
	return nil
}

func cmdTellSet(c *call) error {
	o, err := c.theOption()
	if err != nil {
		return err
	}
	value := strings.Join(c.strs("val"), " ")
	if err := c.inject(o.Name, value); err != nil {
		return err
	}
	return c.print(map[string]string{"success": fmt.Sprintf("%s = '%s'%s", o.Name, value, word(o.Live, "", " (not observed, change may require restart)"))}, nil)
}

func cmdTellUnset(c *call) error {
	o, err := c.theOption()
	if err != nil {
		return err
	}
	if err := c.inject(o.Name, ""); err != nil {
		return err
	}
	return c.print(empty{}, nil)
}

// cmdInject reads "--name=value" or "--name value".
func cmdInject(c *call) error {
	words := strings.Fields(strings.Join(c.strs("injected_args"), " "))
	for i := 0; i < len(words); i++ {
		name, value, ok := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		if !ok {
			if i++; i == len(words) {
				return fail(ceph.EINVAL, "option %s has no value", name)
			}
			value = words[i]
		}
		if err := c.inject(name, value); err != nil {
			return err
		}
		c.text += fmt.Sprintf("%s = '%s' ", conf.Key(name), value)
	}
	return c.print(empty{}, nil)
}

type sessionJSON struct {
	Name          string    `json:"name"`
	Entity        string    `json:"entity_name"`
	Addrs         addrsJSON `json:"addrs"`
	Socket        addrJSON  `json:"socket_addr"`
	Type          string    `json:"con_type"`
	Features      uint64    `json:"con_features"`
	FeaturesHex   string    `json:"con_features_hex"`
	Release       string    `json:"con_features_release"`
	Open          bool      `json:"open"`
	Caps          capsJSON  `json:"caps"`
	Authenticated bool      `json:"authenticated"`
	GlobalID      uint64    `json:"global_id"`
	IDStatus      string    `json:"global_id_status"`
	Epoch         int       `json:"osd_epoch"`
	Host          string    `json:"remote_host"`
}

type capsJSON struct {
	Text string `json:"text"`
}

func cmdSessions(c *call) error {
	out := []sessionJSON{}
	for _, s := range c.m.sessions() {
		p := s.conn.Peer()
		j := sessionJSON{
			Name: p.ID.String(), Entity: p.Auth.Name.String(), Addrs: newAddrs(p.Addrs), Type: p.ID.Type.String(), Features: p.Features, FeaturesHex: fmt.Sprintf("%x", p.Features),
			Release: "luminous", Open: true, Authenticated: true, GlobalID: p.Auth.GlobalID, IDStatus: "none",
		}
		j.Caps.Text = string(p.Auth.Caps)
		if len(j.Addrs.Addrs) > 0 {
			j.Socket = j.Addrs.Addrs[0]
		}
		out = append(out, j)
	}
	slices.SortFunc(out, func(a, b sessionJSON) int { return strings.Compare(a.Name, b.Name) })
	return c.print(out, nil)
}

// cmdPerfDump shows counters of the messenger and of the maps.
func cmdPerfDump(c *call) error {
	p, err := json.Marshal(c.m.msgr.Metrics())
	if err != nil {
		return err
	}
	st := c.st
	total, up, in := counts(st.OSD)
	return c.print(map[string]any{
		"msgr":    json.RawMessage(p),
		"cluster": map[string]any{"num_mon": len(st.MonMap.Ranks), "num_mon_quorum": len(c.m.quorum(st)), "num_osd": total, "num_osd_up": up, "num_osd_in": in, "osd_epoch": st.OSD.Epoch, "num_pool": len(st.OSD.Pools)},
		"mon":     map[string]any{"num_sessions": len(c.m.sessions())},
	}, nil)
}
