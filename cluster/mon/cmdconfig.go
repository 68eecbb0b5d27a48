package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
)

func init() {
	add("config", "rw", "config set who:CephString name:CephString value:CephString [force:CephBool]", "set an option for all, a type or one entity", cmdConfigSet)
	add("config", "rw", "config rm who:CephString name:CephString", "take back what is set for all, a type or one entity", cmdConfigRm)
	add("config", "r", "config get who:CephString [key:CephString]", "show what is set for an entity", cmdConfigGet)
	add("mon", "r", "config dump", "list all that is set", cmdConfigDump)
	add("config", "r", "config help key:CephString", "say what an option is", cmdConfigHelp)
	add("config", "r", "config ls", "list the options of our daemons", cmdConfigLs)
	add("config", "r", "config log [num:CephInt=1]", "list the last changes of options", cmdConfigLog)
	add("config", "rw", "config assimilate-conf", "take the options of a ceph.conf (-i FILE) and return what must stay in it", cmdAssimilate)
	add("config", "r", "config generate-minimal-conf", "show the ceph.conf that a client needs", cmdMinimalConf)
	add("config", "rw", "config reset num:CephInt=0", "take back the changes of options after one of config log", cmdConfigReset)
	add("mgr", "r", "config show-with-defaults who:CephString", "show all options of a daemon, and who set them", cmdShowDefaults)
	add("mgr", "r", "config show who:CephString [key:CephString]", "show the options of a daemon that are not defaults, and who set them", cmdConfigShow)
}

// who reads whom an option is for.
func (c *call) who() (string, error) {
	s, _ := c.str("who")
	return target(s)
}

// target checks whom an option is for: all, a type, or one entity.
func target(s string) (string, error) {
	if s == "global" {
		return s, nil
	}
	if _, ok := ceph.ParseEntityType(s); ok {
		return s, nil
	}
	if _, err := ceph.ParseEntityName(s); err == nil {
		return s, nil
	}
	return "", fail(ceph.EINVAL, "unrecognized config target '%s'", s)
}

// foreign are the beginnings of options of Ceph's that we have none of: those of
// clients are handed on to them, of daemons kept for whoever asks.
var foreign = []string{"rbd_", "client_", "rados_", "objecter_", "librados_", "rgw_", "debug_", "ms_", "log_", "mon_", "auth_", "cephx_", "mds_", "mgr_", "mgr/", "osd_", "bluestore_", "bluefs_", "rocksdb_", "bdev_", "heartbeat_", "err_"}

// option reads the name of an option in its one form. One that neither we nor Ceph
// can have is refused, unless force is set; one that looks like a slip is noted.
func (c *call) option() (string, error) {
	name, _ := c.str("name")
	key := conf.Key(name)
	if key == "" || strings.ContainsAny(key, " \n\x00") {
		return "", fail(ceph.EINVAL, "unrecognized config option '%s'", name)
	}
	if _, ok := conf.Lookup(key); ok || c.flag("force") {
		return key, nil
	}
	near := conf.Nearest(key)
	if !slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(key, p) }) {
		if near != "" {
			near = ": did you mean " + near + "?"
		}
		return "", fail(ceph.EINVAL, "unrecognized config option '%s'%s", name, near)
	}
	if near != "" {
		c.text = fmt.Sprintf("daemons here have no option %s; did you mean %s?", key, near)
	}
	return key, nil
}

func cmdConfigSet(c *call) error {
	who, err := c.who()
	if err != nil {
		return err
	}
	key, err := c.option()
	if err != nil {
		return err
	}
	value, _ := c.str("value")
	if o, ok := conf.Lookup(key); ok {
		if err := o.Fits(value); err != nil {
			return fail(ceph.EINVAL, "error parsing value: %v", err)
		}
	}
	return c.configure([]configChange{{who, key, &value}})
}

func cmdConfigRm(c *call) error {
	who, err := c.who()
	if err != nil {
		return err
	}
	name, _ := c.str("name")
	return c.configure([]configChange{{who, conf.Key(name), nil}})
}

type optionJSON struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Value   string `json:"value"`
	Level   string `json:"level"`
	Update  bool   `json:"can_update_at_runtime"`
	Mask    string `json:"mask"`
}

// live reports whether an option takes effect in a daemon that runs. What only
// clients read takes effect when they start.
func live(name string) bool {
	o, ok := conf.Lookup(name)
	return ok && o.Live
}

func cmdConfigDump(c *call) error {
	out := []optionJSON{}
	t := columns(left("WHO", "MASK", "LEVEL", "OPTION", "VALUE", "RO"))
	for _, who := range slices.Sorted(maps.Keys(c.st.Config)) {
		for _, name := range slices.Sorted(maps.Keys(c.st.Config[who])) {
			v := c.st.Config[who][name]
			out = append(out, optionJSON{who, name, v, "advanced", live(name), ""})
			t.row(word(who == "global", who, "  "+who), "", "advanced", name, v, word(live(name), "", "*"))
		}
	}
	return c.print(out, t.String)
}

// setFor returns what is set for somebody, and in which section.
func (s *State) setFor(who string) (values, sections map[string]string) {
	values, sections = map[string]string{}, map[string]string{}
	list := []string{"global"}
	if typ, _, ok := strings.Cut(who, "."); ok {
		list = append(list, typ)
	}
	for _, section := range append(list, who) {
		for k, v := range s.Config[section] {
			values[k], sections[k] = v, section
		}
	}
	return values, sections
}

func cmdConfigGet(c *call) error {
	who, err := c.who()
	if err != nil {
		return err
	}
	values, sections := c.st.setFor(who)
	if name, ok := c.str("key"); ok {
		v, set := values[conf.Key(name)]
		if !set {
			o, known := conf.Lookup(name)
			if !known {
				return fail(ceph.ENOENT, "unrecognized key '%s'", name)
			}
			v = o.Default
		}
		c.out = []byte(v + "\n") // whatever the format
		return nil
	}
	type entry struct {
		Value   string `json:"value"`
		Section string `json:"section"`
		Mask    empty  `json:"mask"`
		Update  bool   `json:"can_update_at_runtime"`
	}
	out := map[string]entry{}
	t := columns(left("WHO", "MASK", "LEVEL", "OPTION", "VALUE", "RO"))
	for _, k := range slices.Sorted(maps.Keys(values)) {
		out[k] = entry{Value: values[k], Section: sections[k], Update: live(k)}
		t.row(sections[k], "", "advanced", k, values[k], word(live(k), "", "*"))
	}
	return c.print(out, t.String)
}

// kindWords are the kinds of values as config help calls them.
var kindWords = map[conf.Kind]string{conf.String: "str", conf.Bool: "bool", conf.Int: "int", conf.Float: "float", conf.Size: "size", conf.Seconds: "secs", conf.Address: "addr"}

func cmdConfigHelp(c *call) error {
	name, _ := c.str("key")
	o, ok := conf.Lookup(name)
	if !ok {
		return fail(ceph.ENOENT, "no option '%s' of ours", name)
	}
	j := optionHelp(o)
	return c.print(j, func() string {
		return fmt.Sprintf("%s - %s\n  (%s, advanced)\n  Default: %s\n  Can update at runtime: %v\n", o.Name, o.Help, j.Type, o.Default, o.Live)
	})
}

type helpJSON struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Level    string   `json:"level"`
	Desc     string   `json:"desc"`
	Long     string   `json:"long_desc"`
	Default  any      `json:"default"`
	Daemon   string   `json:"daemon_default"`
	Tags     []string `json:"tags"`
	Services []string `json:"services"`
	SeeAlso  []string `json:"see_also"`
	Enum     []string `json:"enum_values,omitempty"`
	Min      string   `json:"min"`
	Max      string   `json:"max"`
	Update   bool     `json:"can_update_at_runtime"`
	Flags    []string `json:"flags"`
}

func optionHelp(o conf.Option) helpJSON {
	j := helpJSON{Name: o.Name, Type: kindWords[o.Kind], Level: "advanced", Desc: o.Help, Default: typed(o, o.Default), Tags: []string{}, Services: list(o.Who), SeeAlso: []string{}, Enum: o.Choices, Update: o.Live, Flags: []string{}}
	if o.Live {
		j.Flags = append(j.Flags, "runtime")
	}
	return j
}

// typed is a value as JSON has it: true, a number or a text.
func typed(o conf.Option, text string) any {
	c := conf.Defaults(ceph.EntityName{Type: ceph.TypeMon, ID: "x"})
	if text == "" || c.Set(conf.Override, o.Name, text) != nil {
		return text
	}
	switch o.Kind {
	case conf.Bool:
		return c.Bool(o.Name)
	case conf.Int:
		return c.Int(o.Name)
	case conf.Size:
		return c.Bytes(o.Name)
	case conf.Seconds:
		return c.Duration(o.Name).Seconds()
	}
	return text
}

func cmdConfigLs(c *call) error {
	names := []string{}
	for _, o := range conf.Options() {
		names = append(names, o.Name)
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

// local are options that a host needs before it can ask a monitor: they stay in its
// file.
var local = []string{"fsid", "mon_host", "keyring", "key", "keyfile", "host", "mon_data", "osd_data", "mon_initial_members", "public_addr", "cluster_addr", "admin_socket", "run_dir", "pid_file", "log_file"}

func cmdAssimilate(c *call) error {
	f, err := conf.Parse("", string(c.input))
	if err != nil {
		return fail(ceph.EINVAL, "%v", err)
	}
	var changes []configChange
	rest := map[string][]string{}
	for _, l := range f.Lines {
		o, ok := conf.Lookup(l.Key)
		if _, err := target(l.Section); err != nil || !ok || slices.Contains(local, o.Name) || o.Fits(l.Value) != nil {
			rest[l.Section] = append(rest[l.Section], fmt.Sprintf("\t%s = %s\n", l.Key, l.Value))
			continue
		}
		changes = append(changes, configChange{l.Section, o.Name, &l.Value})
	}
	if err := c.configure(changes); err != nil {
		return err
	}
	var b strings.Builder
	for _, s := range slices.Sorted(maps.Keys(rest)) {
		fmt.Fprintf(&b, "\n[%s]\n%s", s, strings.Join(rest[s], ""))
	}
	c.out = []byte(b.String())
	return nil
}

func cmdMinimalConf(c *call) error {
	var hosts []string
	for r := range c.st.MonMap.Ranks {
		hosts = append(hosts, fmt.Sprint(c.st.MonMap.At(r).Addrs))
	}
	id := c.st.MonMap.FSID
	c.out = fmt.Appendf(nil, "# minimal ceph.conf for %v\n[global]\n\tfsid = %v\n\tmon_host = %s\n", id, id, strings.Join(hosts, " "))
	return nil
}

// runningJSON is an option of a daemon as it runs.
type runningJSON struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// daemonNamed reads the argument who: a daemon that is there.
func (c *call) daemonNamed() (ceph.EntityName, error) {
	who, _ := c.str("who")
	n, err := ceph.ParseEntityName(who)
	if err != nil {
		return n, fail(ceph.EINVAL, "%v", err)
	}
	id, isOSD := osdID(n.ID)
	if n.Type == ceph.TypeMon && c.st.MonMap.Rank(n.ID) >= 0 || n.Type == ceph.TypeOSD && isOSD == nil && c.st.OSD.IsUp(id) {
		return n, nil
	}
	return n, fail(ceph.ENOENT, "no config state for daemon %s", who)
}

// running returns what is not a default: of this monitor all of it, of others what
// the database says. Their files are theirs: tell asks them.
func (c *call) running(n ceph.EntityName) []runningJSON {
	out := []runningJSON{}
	if n.Type == ceph.TypeMon && n.ID == c.m.cfg.Name {
		for _, s := range c.m.cfg.Options.Changed() {
			out = append(out, runningJSON{s.Name, s.Shown(), s.Source.String()})
		}
		return out
	}
	values := c.st.configFor(n)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		out = append(out, runningJSON{k, values[k], conf.Database.String()})
	}
	return out
}

func (c *call) printRunning(list []runningJSON) error {
	t := columns(left("NAME", "VALUE", "SOURCE", "OVERRIDES", "IGNORES"))
	for _, r := range list {
		t.row(r.Name, r.Value, r.Source, "", "")
	}
	return c.print(list, t.String)
}

func cmdConfigShow(c *call) error {
	n, err := c.daemonNamed()
	if err != nil {
		return err
	}
	list := c.running(n)
	key, one := c.str("key")
	if !one {
		return c.printRunning(list)
	}
	o, known := conf.Lookup(key)
	v := o.Default
	for _, r := range list {
		if r.Name == conf.Key(key) {
			v, known = r.Value, true
		}
	}
	if !known {
		return fail(ceph.ENOENT, "unrecognized key '%s'", key)
	}
	c.out = []byte(v + "\n")
	return nil
}

func cmdShowDefaults(c *call) error {
	n, err := c.daemonNamed()
	if err != nil {
		return err
	}
	list := c.running(n)
	for _, o := range conf.Options() {
		mine := len(o.Who) == 0 && !o.Client || slices.Contains(o.Who, n.Type.String())
		if mine && !slices.ContainsFunc(list, func(r runningJSON) bool { return r.Name == o.Name }) {
			list = append(list, runningJSON{o.Name, o.Default, conf.Default.String()})
		}
	}
	slices.SortFunc(list, func(a, b runningJSON) int { return strings.Compare(a.Name, b.Name) })
	return c.printRunning(list)
}
