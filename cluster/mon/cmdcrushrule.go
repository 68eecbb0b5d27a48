package mon

import (
	"fmt"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

func init() {
	const name = "name:CephString=[A-Za-z0-9-_.]"
	add("osd", "r", "osd crush rule ls", "list crush rules", cmdRuleLs)
	old("osd", "r", "osd crush rule list", "list crush rules", cmdRuleLs)
	add("osd", "r", "osd crush rule ls-by-class class:CephString=[A-Za-z0-9-_.]", "list the rules that take OSDs of a device class", cmdRuleLsByClass)
	add("osd", "r", "osd crush rule dump [name:CephString=[A-Za-z0-9-_.]]", "show rules", cmdRuleDump)
	add("osd", "rw", "osd crush rule create-simple "+name+" root:CephString=[A-Za-z0-9-_.] type:CephString=[A-Za-z0-9-_.] [mode:CephChoices=firstn|indep]",
		"make a rule: each copy below another bucket of a type", cmdRuleSimple)
	add("osd", "rw", "osd crush rule create-replicated "+name+" root:CephString=[A-Za-z0-9-_.] type:CephString=[A-Za-z0-9-_.] [class:CephString=[A-Za-z0-9-_.]]",
		"make a rule: each copy below another bucket of a type, on OSDs of a class", cmdRuleReplicated)
	add("osd", "rw", "osd crush rule rm "+name, "remove crush rule <name>", cmdRuleRm)
	add("osd", "rw", "osd crush rule rename srcname:CephString=[A-Za-z0-9-_.] dstname:CephString=[A-Za-z0-9-_.]", "rename crush rule <srcname> to <dstname>", cmdRuleRename)
}

// ruleNames returns the names of rules, by id.
func ruleNames(d *crush.Dump) []string {
	names := []string{}
	for _, r := range d.Rules {
		names = append(names, r.Name)
	}
	return names
}

func cmdRuleLs(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	names := ruleNames(d)
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdRuleLsByClass(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	class, _ := c.str("class")
	names := []string{}
	for _, r := range d.Rules {
		for _, s := range r.Steps {
			if s.ItemName != nil && strings.HasSuffix(*s.ItemName, "~"+class) {
				names = append(names, r.Name)
				break
			}
		}
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdRuleDump(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	name, one := c.str("name")
	if !one {
		return c.print(d.Rules, nil)
	}
	for _, r := range d.Rules {
		if r.Name == name {
			return c.print(r, nil)
		}
	}
	return fail(ceph.ENOENT, "unknown crush rule '%s'", name)
}

func cmdRuleSimple(c *call) error {
	if mode, _ := c.str("mode"); mode == "indep" {
		return c.addRule(crush.Erasure)
	}
	return c.addRule(crush.Replicated)
}

func cmdRuleReplicated(c *call) error { return c.addRule(crush.Replicated) }

func (c *call) addRule(kind crush.RuleType) error {
	name, _ := c.str("name")
	root, _ := c.str("root")
	typ, _ := c.str("type")
	class, _ := c.str("class")
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	for _, r := range d.Rules {
		if r.Name == name {
			c.text = fmt.Sprintf("rule %s already exists", name)
			return nil
		}
	}
	if class != "" {
		known := false
		for _, dev := range d.Devices {
			known = known || dev.Class == class
		}
		if !known {
			return fail(ceph.EINVAL, "device class %s does not exist", class)
		}
	}
	return c.edit(func(e *crush.Editor) error {
		_, err := e.AddRule(crush.NewRule{Name: name, Root: root, Class: class, Domain: typ, Type: kind})
		return err
	})
}

func cmdRuleRm(c *call) error {
	name, _ := c.str("name")
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	for _, r := range d.Rules {
		if r.Name != name {
			continue
		}
		for id, p := range c.st.OSD.Pools {
			if int(p.CrushRule) == r.ID {
				return fail(ceph.EBUSY, "crush rule %s (%d) is in use by pool '%s'", name, r.ID, c.st.OSD.PoolNames[id])
			}
		}
		return c.edit(func(e *crush.Editor) error { return ignoreMissing(e.RemoveRule(name)) })
	}
	c.text = fmt.Sprintf("rule %s does not exist", name)
	return nil
}

func cmdRuleRename(c *call) error {
	from, _ := c.str("srcname")
	to, _ := c.str("dstname")
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, n := range ruleNames(d) {
		has[n] = true
	}
	if !has[from] && has[to] {
		c.text = fmt.Sprintf("already renamed to '%s'", to)
		return nil
	}
	return c.edit(func(e *crush.Editor) error { return e.RenameRule(from, to) })
}
