package mon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

func init() {
	add("osd", "r", "osd crush show-tunables", "show current crush tunables", cmdShowTunables)
	add("osd", "r", "osd crush get-tunable tunable:CephChoices=straw_calc_version", "get crush tunable <tunable>", cmdGetTunable)
	add("osd", "rw", "osd crush set-tunable tunable:CephChoices=straw_calc_version value:CephInt=0|1", "set crush tunable <tunable> to <value>", cmdSetTunable)
	add("osd", "rw", "osd crush tunables profile:CephChoices=legacy|argonaut|bobtail|firefly|hammer|jewel|optimal|default", "set crush tunables values to <profile>", cmdTunables)
	add("osd", "r", "osd crush weight-set ls", "list crush weight sets", cmdWeightSets)
	add("osd", "r", "osd crush weight-set dump", "dump crush weight sets", cmdWeightSetDump)
	add("osd", "rw", "osd crush weight-set create-compat", "make a weight set for all pools", cmdWeightSetCreate)
	add("osd", "rw", "osd crush weight-set create pool:CephPoolname mode:CephChoices=flat|positional", "make a weight set for a pool", cmdWeightSetCreate)
	add("osd", "rw", "osd crush weight-set rm-compat", "remove the weight set of all pools", cmdWeightSetRm)
	add("osd", "rw", "osd crush weight-set rm pool:CephPoolname", "remove the weight set of a pool", cmdWeightSetRm)
	add("osd", "rw", "osd crush weight-set reweight-compat item:CephString weight:CephFloat…=0.0", "set what an OSD or bucket weighs in the weight set of all pools", cmdWeightSetReweight)
	add("osd", "rw", "osd crush weight-set reweight pool:CephPoolname item:CephString weight:CephFloat…=0.0", "set what an OSD or bucket weighs in the weight set of a pool", cmdWeightSetReweight)
}

func cmdShowTunables(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	return c.print(d.Tunables, nil)
}

func cmdGetTunable(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	return c.print(map[string]any{"straw_calc_version": d.Tunables.StrawVersion}, func() string { return fmt.Sprintln(d.Tunables.StrawVersion) })
}

func cmdSetTunable(c *call) error {
	n := c.num("value", 1)
	c.text = fmt.Sprintf("adjusted tunable straw_calc_version to %d", n)
	return c.edit(func(e *crush.Editor) error {
		t := e.Map().Tunables
		t.StrawVersion = uint8(n)
		e.SetTunables(t)
		return nil
	})
}

func cmdTunables(c *call) error {
	name, _ := c.str("profile")
	t, ok := crush.Profile(name)
	if !ok {
		return fail(ceph.EINVAL, "unrecognized profile '%s'", name)
	}
	c.text = "adjusted tunables profile to " + name
	return c.edit(func(e *crush.Editor) error {
		if name != "default" && name != "optimal" { // no part of a profile
			t.StrawVersion = e.Map().Tunables.StrawVersion
		}
		e.SetTunables(t)
		return nil
	})
}

// weightSet is which set a command is about: that of a pool, or the one of pools
// that have none.
func (c *call) weightSet() (int64, error) {
	if _, ok := c.str("pool"); !ok {
		return crush.DefaultArgs, nil
	}
	id, err := c.pool(c.st.OSD, "pool")
	return int64(id), err
}

func cmdWeightSets(c *call) error {
	m, err := crush.Decode(c.st.OSD.Crush)
	if err != nil {
		return err
	}
	names := []string{}
	for _, set := range slices.Sorted(maps.Keys(m.ChooseArgs)) {
		names = append(names, word(set == crush.DefaultArgs, "(compat)", c.st.OSD.PoolNames[ceph.PoolID(set)]))
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdWeightSetDump(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	return c.print(d.ChooseArgs, nil)
}

func cmdWeightSetCreate(c *call) error {
	set, err := c.weightSet()
	if err != nil {
		return err
	}
	positions := 1
	if mode, _ := c.str("mode"); mode == "positional" {
		positions = int(c.st.OSD.Pools[ceph.PoolID(set)].Size)
	}
	return c.edit(func(e *crush.Editor) error {
		if err := e.AddWeightSet(set, positions); err != nil && !errors.Is(err, crush.ErrExists) {
			return err
		}
		return nil
	})
}

func cmdWeightSetRm(c *call) error {
	set, err := c.weightSet()
	if err != nil {
		return err
	}
	return c.edit(func(e *crush.Editor) error { return ignoreMissing(e.RemoveWeightSet(set)) })
}

func cmdWeightSetReweight(c *call) error {
	set, err := c.weightSet()
	if err != nil {
		return err
	}
	var weights []crush.Weight
	for _, s := range c.strs("weight") {
		f, err := parseFloat(s)
		w, ok := crush.MakeWeight(f)
		if err != nil || !ok {
			return fail(ceph.EINVAL, "weight %s: it is from 0 to less than 65536", s)
		}
		weights = append(weights, w)
	}
	item, _ := c.str("item")
	return c.edit(func(e *crush.Editor) error { return e.ReweightSet(set, item, weights) })
}
