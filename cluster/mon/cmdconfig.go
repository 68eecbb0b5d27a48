package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
)

func init() {
	add("config", "rw", "config set who:CephString name:CephString value:CephString [force:CephBool]", "Set a configuration option for one or more entities", cmdConfigSet)
	add("config", "rw", "config rm who:CephString name:CephString", "Clear a configuration option for one or more entities", cmdConfigRm)
	add("config", "r", "config get who:CephString [key:CephString]", "Show configuration option(s) for an entity", cmdConfigGet)
	add("config", "r", "config dump", "Show all configuration option(s)", cmdConfigDump)
	add("config-key", "rw", "config-key set key:CephString [val:CephString]", "set <key> to value <val>", cmdKeySet)
	add("config-key", "r", "config-key get key:CephString", "get <key>", cmdKeyGet)
	add("config-key", "rw", "config-key rm key:CephString", "rm <key>", cmdKeyRm)
	add("config-key", "r", "config-key exists key:CephString", "check for <key>'s existence", cmdKeyExists)
	add("config-key", "r", "config-key ls", "list keys", cmdKeyLs)
}

// who checks whom an option is for: all, a type, or one entity.
func (c *call) who() (string, error) {
	s, _ := c.str("who")
	if s == "global" {
		return s, nil
	}
	if _, ok := ceph.ParseEntityType(s); ok {
		return s, nil
	}
	if _, err := ceph.ParseEntityName(s); err == nil {
		return s, nil
	}
	return "", fail(ceph.EINVAL, "unrecognized config target '%s': want global, a type as osd, or an entity as osd.3", s)
}

// option writes the name of an option in its one form.
func option(s string) string { return strings.NewReplacer(" ", "_", "-", "_").Replace(s) }

func cmdConfigSet(c *call) error {
	who, err := c.who()
	if err != nil {
		return err
	}
	name, _ := c.str("name")
	value, _ := c.str("value")
	if name == "" || strings.Contains(name, "/") {
		return fail(ceph.EINVAL, "option %q: not a name", name)
	}
	return c.change(func(ch *Change) error {
		ch.Put(prefixConfig+who+"/"+option(name), []byte(value))
		return nil
	})
}

func cmdConfigRm(c *call) error {
	who, err := c.who()
	if err != nil {
		return err
	}
	name, _ := c.str("name")
	return c.change(func(ch *Change) error {
		ch.Delete(prefixConfig + who + "/" + option(name))
		return nil
	})
}

type optionJSON struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Value   string `json:"value"`
	Level   string `json:"level"`
	Update  bool   `json:"can_update_at_runtime"`
	Mask    string `json:"mask"`
}

func cmdConfigDump(c *call) error {
	list := []optionJSON{}
	for _, who := range slices.Sorted(maps.Keys(c.st.Config)) {
		for _, name := range slices.Sorted(maps.Keys(c.st.Config[who])) {
			list = append(list, optionJSON{who, name, c.st.Config[who][name], "advanced", true, ""})
		}
	}
	return c.print(list, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-12s %-9s %-40s %s\n", "WHO", "LEVEL", "OPTION", "VALUE")
		for _, o := range list {
			fmt.Fprintf(&b, "%-12s %-9s %-40s %s\n", o.Section, o.Level, o.Name, o.Value)
		}
		return b.String()
	})
}

func cmdConfigGet(c *call) error {
	who, err := c.who()
	if err != nil {
		return err
	}
	merged := map[string]string{}
	sections := []string{"global"}
	if typ, _, ok := strings.Cut(who, "."); ok {
		sections = append(sections, typ)
	}
	for _, s := range append(sections, who) {
		maps.Copy(merged, c.st.Config[s])
	}
	if key, ok := c.str("key"); ok {
		v, set := merged[option(key)]
		if !set {
			return fail(ceph.ENOENT, "option %s is not set for %s; defaults are the daemons'", key, who)
		}
		return c.print(v, func() string { return v + "\n" })
	}
	return c.print(merged, nil)
}

func cmdKeySet(c *call) error {
	key, _ := c.str("key")
	val, ok := c.str("val")
	if !ok {
		val = string(c.input)
	}
	c.text = "set " + key
	return c.change(func(ch *Change) error {
		ch.Put(prefixKV+key, []byte(val))
		return nil
	})
}

func cmdKeyGet(c *call) error {
	key, _ := c.str("key")
	v, ok := c.st.KV[key]
	if !ok {
		return fail(ceph.ENOENT, "key '%s' doesn't exist", key)
	}
	c.text, c.out = fmt.Sprintf("obtained '%s'", key), v
	return nil
}

func cmdKeyRm(c *call) error {
	key, _ := c.str("key")
	c.text = "key deleted"
	return c.change(func(ch *Change) error {
		ch.Delete(prefixKV + key)
		return nil
	})
}

func cmdKeyExists(c *call) error {
	key, _ := c.str("key")
	if _, ok := c.st.KV[key]; !ok {
		return fail(ceph.ENOENT, "key '%s' doesn't exist", key)
	}
	c.text = fmt.Sprintf("key '%s' exists", key)
	return nil
}

func cmdKeyLs(c *call) error {
	return c.print(slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(c.st.KV)))), nil)
}
