package mon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
)

// configChange sets an option, or with Value nil removes it.
type configChange struct {
	Who, Name string
	Value     *string
}

// revision is a change of the configuration as its history keeps it.
type revision struct {
	Stamp   ceph.Time
	Name    string
	Changes []revised
}

type revised struct {
	Name string  `json:"name"` // who/option
	Old  *string `json:"previous_value,omitempty"`
	New  *string `json:"new_value,omitempty"`
}

// configure makes changes, and notes them.
func (c *call) configure(changes []configChange) error {
	return c.change(func(ch *Change) error {
		r := revision{Stamp: ch.Now}
		for _, x := range changes {
			old, was := ch.State.Config[x.Who][x.Name]
			if x.Value == nil && !was || x.Value != nil && was && *x.Value == old {
				continue
			}
			one := revised{Name: x.Who + "/" + x.Name, New: x.Value}
			if was {
				one.Old = &old
			}
			r.Changes = append(r.Changes, one)
			if x.Value == nil {
				ch.Delete(prefixConfig + x.Who + "/" + x.Name)
			} else {
				ch.Put(prefixConfig+x.Who+"/"+x.Name, []byte(*x.Value))
			}
		}
		if len(r.Changes) == 0 {
			return nil
		}
		p, err := json.Marshal(r)
		if err != nil {
			return err
		}
		n := uint64(1)
		for k := range ch.State.History {
			n = max(n, k+1)
		}
		ch.Put(historyKey(n), p)
		if n > keptHistory {
			ch.Delete(historyKey(n - keptHistory))
		}
		return nil
	})
}

func cmdConfigLog(c *call) error {
	type entry struct {
		Version uint64    `json:"version"`
		Stamp   string    `json:"timestamp"`
		Name    string    `json:"name"`
		Changes []revised `json:"changes"`
	}
	out := []entry{}
	var b strings.Builder
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(c.st.History))) {
		if len(out) == int(c.num("num", 10)) {
			break
		}
		r := c.st.History[n]
		out = append(out, entry{n, r.Stamp.String(), r.Name, r.Changes})
		fmt.Fprintf(&b, "--- %d --- %v ---\n", n, r.Stamp)
		for _, x := range r.Changes {
			if x.Old != nil {
				fmt.Fprintf(&b, "- %s = %s\n", x.Name, *x.Old)
			}
			if x.New != nil {
				fmt.Fprintf(&b, "+ %s = %s\n", x.Name, *x.New)
			}
		}
	}
	return c.print(out, b.String)
}

// cmdConfigReset undoes the changes after one, the newest first.
func cmdConfigReset(c *call) error {
	to := uint64(c.num("num", 0))
	versions := slices.Sorted(maps.Keys(c.st.History))
	if len(versions) == 0 || to >= versions[len(versions)-1] {
		return nil // nothing has happened since
	}
	if to+1 < versions[0] {
		return fail(ceph.ENOENT, "changes before %d are not known any more", versions[0])
	}
	var order []string
	end := map[string]configChange{}
	for _, n := range slices.Backward(versions) {
		if n <= to {
			break
		}
		for _, x := range slices.Backward(c.st.History[n].Changes) {
			who, name := cutLast(x.Name)
			if _, ok := end[x.Name]; !ok {
				order = append(order, x.Name)
			}
			end[x.Name] = configChange{who, name, x.Old}
		}
	}
	var changes []configChange
	for _, name := range order {
		changes = append(changes, end[name])
	}
	return c.configure(changes)
}
