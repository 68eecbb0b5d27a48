package captured

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd/cls/lock"
)

// identify fills in whose requests they are. They do not say it themselves, but a
// listing of a lock tells who took it with a cookie, which a request says.
func identify(all []*Request) {
	type taken struct{ object, cookie string }
	type caller struct {
		client ceph.EntityID
		addr   ceph.Addr
	}
	by := map[taken]string{} // lock → connection
	who := map[string]caller{}
	for _, r := range all {
		if r.Reply.Result < 0 {
			continue
		}
		for i := range r.Ops {
			switch Method(&r.Ops[i]) {
			case "lock.lock":
				by[taken{r.Name, cookie(&r.Ops[i])}] = r.Conn
			case "lock.get_info":
				l := lock.DecodeInfo(denc.NewDecoder(r.Reply.Ops[i].Data))
				for k, h := range l.Lockers {
					if conn, ok := by[taken{r.Name, k.Cookie}]; ok {
						who[conn] = caller{k.Client, h.Addr}
					}
				}
			}
		}
	}
	for _, r := range all {
		c, ok := who[r.Conn]
		if !ok {
			c = caller{client: ceph.EntityID{Type: ceph.TypeClient, Num: 1}}
		}
		r.Client, r.Addr = c.client, c.addr
	}
}

// Method returns CLASS.METHOD of a call, empty of any other operation.
func Method(op *msg.Op) string {
	if op.Code != msg.OpCall {
		return ""
	}
	c := op.Call()
	a, b := int(c.ClassLength), int(c.ClassLength)+int(c.MethodLength)
	return string(op.Data[:a]) + "." + string(op.Data[a:b])
}

// cookie is the one of a request for a lock.
func cookie(op *msg.Op) string {
	c := op.Call()
	d := denc.NewDecoder(op.Data[int(c.ClassLength)+int(c.MethodLength):])
	d.Begin(1)
	d.Str() // name
	d.U8()  // type
	return d.Str()
}
