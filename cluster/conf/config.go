package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ebofs/cluster/ceph"
)

// Source is where a value came from; the later one wins.
type Source uint8

// The sources, in the order of their weight.
const (
	Default Source = iota
	Database
	FromFile
	Environment
	CommandLine
	Override
	sources
)

// String returns Ceph's word for the source.
func (s Source) String() string {
	return [...]string{"default", "mon", "file", "env", "cmdline", "override"}[s]
}

// Setting is one option as it is in force.
type Setting struct {
	Option
	Value  string
	Source Source
	Where  string // file and line
}

// Shown is the value as it may be printed.
func (s Setting) Shown() string {
	if s.Secret && s.Value != "" {
		return "[redacted]"
	}
	return s.Value
}

// Config is the options of one entity.
type Config struct {
	Name    ceph.EntityName
	Cluster string
	Path    string // of the file; "" if there is none
	load    Load
	host    string

	mu     sync.RWMutex
	values map[string]*[sources]*value
	watch  []func()
}

type value struct{ text, where string }

// Load says whose options are wanted, and where they stand.
type Load struct {
	Name    ceph.EntityName
	Cluster string // default "ceph"
	// Path is the file that must be read. "": the one CEPH_CONF names, else
	// /etc/ceph/$cluster.conf if there is one.
	Path   string
	Getenv func(string) string // nil: an empty environment
	Host   string              // default: this machine's
	// Args are options of the command line as "--name=value", "--name value".
	Args []string
}

// New reads the options of an entity. What it warns of, unknown options, is said in
// warnings, a line each; what makes no sense is an error.
func New(l Load) (c *Config, warnings []string, err error) {
	c = &Config{Name: l.Name, Cluster: l.Cluster, load: l, host: l.Host, values: map[string]*[sources]*value{}}
	if c.Cluster == "" {
		c.Cluster = "ceph"
	}
	if l.Getenv == nil {
		l.Getenv = func(string) string { return "" }
	}
	if c.host == "" {
		c.host, _ = os.Hostname()
		c.host, _, _ = strings.Cut(c.host, ".")
	}
	c.load.Getenv = l.Getenv
	if warnings, err = c.Reload(); err != nil {
		return nil, nil, err
	}
	if a := l.Getenv("CEPH_ARGS"); a != "" {
		if err := c.arguments(strings.Fields(a), Environment, "CEPH_ARGS"); err != nil {
			return nil, nil, err
		}
	}
	for i := range options {
		name := options[i].Name
		env := "EBOFS_" + strings.ToUpper(strings.TrimPrefix(name, "ebofs_"))
		if v := l.Getenv(env); v != "" {
			if err := c.set(Environment, name, v, env); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", env, err)
			}
		}
	}
	return c, warnings, c.arguments(l.Args, CommandLine, "")
}

// Defaults returns the options of an entity, each as its default is.
func Defaults(name ceph.EntityName) *Config {
	return &Config{Name: name, Cluster: "ceph", values: map[string]*[sources]*value{}}
}

// As returns the options of another entity from the same file.
func (c *Config) As(name ceph.EntityName) *Config {
	o := Defaults(name)
	o.Cluster, o.host, o.load = c.Cluster, c.host, c.load
	if _, err := o.Reload(); err != nil {
		return Defaults(name) // what makes no sense for it
	}
	return o
}

// Reload reads the file again. If it makes no sense nothing changes.
func (c *Config) Reload() (warnings []string, err error) {
	path, must := c.load.Path, true
	if path == "" && c.load.Getenv != nil {
		path = c.load.Getenv("CEPH_CONF")
	}
	if path == "" {
		path, must = "/etc/ceph/"+c.Cluster+".conf", false
	}
	f, err := Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c.Path = path
	return c.useFile(f)
}

// sectionsOf are the sections that concern the entity, the nearest first.
func (c *Config) sectionsOf() []string {
	return []string{c.Name.String(), c.Name.Type.String(), "global"}
}

// useFile takes what the file says for this entity.
func (c *Config) useFile(f *File) (warnings []string, err error) {
	found := map[string]Line{}
	for _, l := range f.Lines {
		if !slices.Contains(c.sectionsOf(), l.Section) {
			continue
		}
		l, _ = f.Find(l.Key, c.sectionsOf()...)
		o, ok := Lookup(l.Key)
		if _, seen := found[l.Key]; !ok && !seen {
			w := fmt.Sprintf("%s: unknown option %s", l.Where(), l.Key)
			if n := Nearest(l.Key); n != "" {
				w += "; did you mean " + n + "?"
			}
			warnings = append(warnings, w)
		}
		if err := o.fits(l.Value); ok && err != nil {
			return nil, fmt.Errorf("%s: %w", l.Where(), err)
		}
		found[l.Key] = l
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.values {
		a[FromFile] = nil
	}
	for _, l := range found {
		c.put(FromFile, l.Key, &value{l.Value, l.Where()})
	}
	return warnings, nil
}

// arguments takes options from words.
func (c *Config) arguments(words []string, s Source, where string) error {
	for i := 0; i < len(words); i++ {
		name, ok := strings.CutPrefix(words[i], "--")
		if !ok || name == "" {
			return fmt.Errorf("%q: not an option as --name=value", words[i])
		}
		name, v, has := strings.Cut(name, "=")
		o, known := Lookup(name)
		if !known {
			return fmt.Errorf("unknown option --%s%s", name, hint(name))
		}
		switch {
		case has:
		case o.Kind == Bool && (i+1 == len(words) || strings.HasPrefix(words[i+1], "--")):
			v = "true"
		case i+1 == len(words):
			return fmt.Errorf("option --%s: a value is missing", name)
		default:
			i++
			v = words[i]
		}
		if err := c.set(s, name, v, where); err != nil {
			return err
		}
	}
	return nil
}

func hint(name string) string {
	if n := Nearest(name); n != "" {
		return "; did you mean --" + n + "?"
	}
	return ""
}

// Set gives an option a value from a source; "" takes that of the source away.
func (c *Config) Set(s Source, name, v string) error {
	err := c.set(s, name, v, "")
	c.changed()
	return err
}

// OnChange has f called after options have been set, or the database has.
func (c *Config) OnChange(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch = append(c.watch, f)
}

func (c *Config) changed() {
	c.mu.RLock()
	list := slices.Clone(c.watch)
	c.mu.RUnlock()
	for _, f := range list {
		f()
	}
}

func (c *Config) set(s Source, name, v, where string) error {
	name = Key(name)
	if o, ok := Lookup(name); ok {
		if err := o.fits(v); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v == "" {
		c.put(s, name, nil)
	} else {
		c.put(s, name, &value{v, where})
	}
	return nil
}

// put keeps a value; mu is held.
func (c *Config) put(s Source, name string, v *value) {
	a := c.values[name]
	if a == nil {
		a = new([sources]*value)
		c.values[name] = a
	}
	a[s] = v
}

// UseDatabase replaces what the central database says. Values that do not fit are
// left out and returned as errors.
func (c *Config) UseDatabase(all map[string]string) error {
	c.mu.Lock()
	for _, a := range c.values {
		a[Database] = nil
	}
	c.mu.Unlock()
	var bad []error
	for name, v := range all {
		if err := c.set(Database, name, v, ""); err != nil {
			bad = append(bad, err)
		}
	}
	c.changed()
	return errors.Join(bad...)
}

// Get returns an option as it is in force; one that is not known is a text.
func (c *Config) Get(name string) Setting {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.get(Key(name), 0)
}

func (c *Config) get(name string, depth int) Setting {
	o, ok := Lookup(name)
	if !ok {
		o = Option{Name: name}
	}
	s := Setting{Option: o, Value: o.Default}
	if a := c.values[name]; a != nil {
		for i := Source(sources - 1); i > Default; i-- {
			if a[i] != nil {
				s.Value, s.Source, s.Where = a[i].text, i, a[i].where
				break
			}
		}
	}
	if strings.Contains(s.Value, "$") && depth < 8 {
		s.Value = os.Expand(s.Value, func(v string) string { return c.variable(v, name, depth) })
	}
	return s
}

// variable is what $v stands for.
func (c *Config) variable(v, within string, depth int) string {
	switch v {
	case "cluster":
		return c.Cluster
	case "type":
		return c.Name.Type.String()
	case "id":
		return c.Name.ID
	case "name":
		return c.Name.String()
	case "host":
		return c.host
	case "pid":
		return strconv.Itoa(os.Getpid())
	}
	if _, ok := Lookup(v); ok && v != within {
		return c.get(Key(v), depth+1).Value
	}
	return "$" + v
}

// All returns every option that concerns the entity, by name, and the unknown ones
// that are set.
func (c *Config) All() []Setting {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var list []Setting
	for i := range options {
		o := &options[i]
		if o.Client || len(o.Who) > 0 && !slices.Contains(o.Who, c.Name.Type.String()) {
			continue
		}
		list = append(list, c.get(o.Name, 0))
	}
	return list
}

// Changed returns the settings that are not the default.
func (c *Config) Changed() []Setting {
	return slices.DeleteFunc(c.All(), func(s Setting) bool { return s.Source == Default })
}

// Text returns a text option.
func (c *Config) Text(name string) string { return c.Get(name).Value }

// Bool returns a Bool option; what is none is false.
func (c *Config) Bool(name string) bool { b, _ := parseBool(c.Text(name)); return b }

// Int returns an Int option.
func (c *Config) Int(name string) int64 { n, _ := strconv.ParseInt(c.Text(name), 10, 64); return n }

// Bytes returns a Size option.
func (c *Config) Bytes(name string) int64 { n, _ := parseSize(c.Text(name)); return n }

// Duration returns a Seconds option.
func (c *Config) Duration(name string) time.Duration { d, _ := parseSeconds(c.Text(name)); return d }

// Address returns an Address option; the zero value for none.
func (c *Config) Address(name string) netip.AddrPort { a, _ := parseAddress(c.Text(name)); return a }

// Words returns a text option as words, separated by blanks, commas or semicolons;
// nil if there are none.
func (c *Config) Words(name string) []string {
	list := strings.FieldsFunc(c.Text(name), func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\t' })
	if len(list) == 0 {
		return nil
	}
	return list
}

// Keyrings returns where the entity's key may be: its data directory first.
func (c *Config) Keyrings() []string {
	list := c.Words("keyring")
	if data, ok := Lookup(c.Name.Type.String() + "_data"); ok && c.Get("keyring").Source == Default {
		list = append([]string{filepath.Join(c.Text(data.Name), "keyring")}, list...)
	}
	return list
}

// Monitors returns the addresses that mon_host names, one vector a monitor. Names of
// hosts are not looked up; msgr1 addresses are left out.
func (c *Config) Monitors() ([]ceph.AddrVec, error) {
	text := c.Text("mon_host")
	if text == "" {
		return nil, errors.New("mon_host is not set: no monitor is known")
	}
	var list []ceph.AddrVec
	for _, one := range splitHosts(text) {
		v, err := parseHost(one)
		if err != nil {
			return nil, fmt.Errorf("mon_host: %q: %w", one, err)
		}
		if len(v) > 0 {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("mon_host: no address of messenger version 2")
	}
	return list, nil
}

// splitHosts splits at commas and blanks that are outside brackets.
func splitHosts(s string) (list []string) {
	depth, from := 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || depth == 0 && strings.IndexByte(", ;\t", s[i]) >= 0 {
			if w := strings.TrimSpace(s[from:i]); w != "" {
				list = append(list, w)
			}
			from = i + 1
			continue
		}
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		}
	}
	return list
}

// MonitorPort is where monitors listen by default.
const MonitorPort = 3300

// parseHost reads the addresses of one monitor: "a:p", "v2:a:p", "[v2:a:p,v1:a:p]".
func parseHost(s string) (ceph.AddrVec, error) {
	if rest, ok := strings.CutPrefix(s, "["); ok && (strings.HasPrefix(rest, "v1:") || strings.HasPrefix(rest, "v2:")) {
		s = strings.TrimSuffix(rest, "]")
	}
	var v ceph.AddrVec
	for _, one := range strings.Split(s, ",") {
		if strings.HasPrefix(one, "v1:") {
			continue
		}
		a, err := parseAddress(one)
		if err != nil {
			return nil, errors.New("not an address as 10.0.0.1 or v2:10.0.0.1:3300")
		}
		if a.Port() == 6789 { // msgr1's
			continue
		}
		if a.Port() == 0 {
			a = netip.AddrPortFrom(a.Addr(), MonitorPort)
		}
		v = append(v, ceph.MsgrAddr(a, 0))
	}
	return v, nil
}
