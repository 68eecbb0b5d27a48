package mon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/conf"
	"ebofs/cluster/msg"
)

// audit writes into the log's audit channel who has changed something by which
// command. Values that may be secret are left out.
func (c *call) audit(ch *Change) {
	from, entity := "admin socket", "admin"
	if c.s != nil {
		p := c.s.conn.Peer()
		entity = p.Auth.Name.String()
		from = fmt.Sprintf("%v %v", p.ID, p.Addrs)
	}
	ch.Log(c.m.line(ch.Now, "audit", msg.LogInfo, "from='%s' entity='%s' cmd='[%s]': finished", from, entity, c.shown()))
}

// shown is the command as the log may have it.
func (c *call) shown() string {
	args := maps.Clone(c.args)
	delete(args, "format")
	hide := func(name string) {
		if _, ok := args[name]; ok {
			args[name] = json.RawMessage(`"[redacted]"`)
		}
	}
	if c.cmd.module == "config-key" {
		hide("val")
	}
	if name, ok := c.str("name"); ok && c.cmd.module == "config" {
		if o, known := conf.Lookup(name); !known || o.Secret {
			hide("value")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if len(args[name]) > maxAuditArg {
			args[name] = json.RawMessage(`"…"`)
		}
	}
	p, err := json.Marshal(args)
	if err != nil {
		return c.cmd.prefix()
	}
	return string(p)
}

// maxAuditArg bounds an argument in the log.
const maxAuditArg = 1000
