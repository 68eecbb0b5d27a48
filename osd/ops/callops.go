package ops

import (
	"errors"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd/cls"
)

// callArgs cuts class, method and input out of a call.
func callArgs(in *msg.Op) (class, method string, input []byte, err error) {
	c := in.Call()
	a, b := int(c.ClassLength), int(c.ClassLength)+int(c.MethodLength)
	if uint64(b)+uint64(c.InputLength) > uint64(len(in.Data)) {
		return "", "", nil, ceph.EINVAL
	}
	return string(in.Data[:a]), string(in.Data[a:b]), in.Data[b : b+int(c.InputLength)], nil
}

// ClassMethod names a method of an object class.
type ClassMethod struct{ Class, Method string }

// Calls returns the class methods a request calls.
func (r *Request) Calls() (list []ClassMethod) {
	for i := range r.Ops {
		if r.Ops[i].Code == msg.OpCall {
			if class, method, _, err := callArgs(&r.Ops[i]); err == nil {
				list = append(list, ClassMethod{class, method})
			}
		}
	}
	return list
}

func opCall(r *run, in, out *msg.Op) (ceph.Errno, error) {
	class, method, input, err := callArgs(in)
	if err != nil {
		return 0, err
	}
	m, err := cls.Find(class, method)
	if err != nil {
		return 0, err
	}
	c := &object{r: r, writable: m.Writes}
	out.Data, err = m.Call(c, input)
	var res ceph.Errno
	if errors.As(err, &res) && res > 0 {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	x := out.Extent() // shares its first bytes with the arguments of the call
	x.Length = uint64(len(out.Data))
	out.SetExtent(x)
	return res, nil
}

// object shows a view to a class method.
type object struct {
	r        *run
	writable bool
}

var _ cls.Context = (*object)(nil)

// writes returns EPERM to a method that has not said that it writes.
func (o *object) writes() error {
	if !o.writable {
		return ceph.EPERM
	}
	return nil
}

func (o *object) Object() ceph.HObject               { return o.r.v.name }
func (o *object) Caller() (ceph.EntityID, ceph.Addr) { return o.r.req.Client, o.r.req.Addr }
func (o *object) Now() ceph.Time                     { return o.r.env.now() }
func (o *object) Exists() bool                       { return o.r.v.exists }
func (o *object) Watchers() int                      { return len(o.r.v.state.Watches) }

func (o *object) Stat() (uint64, ceph.Time, error) {
	return o.r.v.state.Size, o.r.v.state.MTime, o.r.v.must()
}

func (o *object) Read(off, n uint64) ([]byte, error) {
	if err := o.r.v.must(); err != nil {
		return nil, err
	}
	if n == 0 {
		n = o.r.v.state.Size
	}
	return o.r.v.read(off, n)
}

func (o *object) Attr(name string) ([]byte, error) {
	if err := o.r.v.must(); err != nil {
		return nil, err
	}
	p, err := o.r.v.attr(name)
	if err != nil {
		return nil, errno(err)
	}
	return p, nil
}

func (o *object) Attrs() (map[string][]byte, error) {
	if err := o.r.v.must(); err != nil {
		return nil, err
	}
	return o.r.v.allAttrs()
}

func (o *object) OmapHeader() ([]byte, error) {
	if err := o.r.v.must(); err != nil {
		return nil, err
	}
	return o.r.v.omapHeader()
}

func (o *object) OmapGet(key string) ([]byte, error) {
	if err := o.r.v.must(); err != nil {
		return nil, err
	}
	m, err := o.r.v.omapGet([]string{key})
	if err != nil {
		return nil, err
	}
	p, ok := m[key]
	if !ok {
		return nil, ceph.ENOENT
	}
	return p, nil
}

func (o *object) OmapVals(after, prefix string, most int) ([]cls.Pair, bool, error) {
	if err := o.r.v.must(); err != nil {
		return nil, false, err
	}
	if !o.r.v.state.HasOmap {
		return nil, false, nil
	}
	return o.r.v.omapVals(after, prefix, most, maxOmapBytes)
}

func (o *object) Create(excl bool) error {
	if err := o.writes(); err != nil {
		return err
	}
	if excl && o.r.v.exists {
		return ceph.EEXIST
	}
	o.r.v.create()
	return nil
}

// change guards a method that changes an object which may be missing.
func (o *object) change(do func(v *view) error) error {
	if err := o.writes(); err != nil {
		return err
	}
	return do(o.r.v)
}

// changeOld guards one that changes an object which has to be there.
func (o *object) changeOld(do func(v *view) error) error {
	if err := o.r.v.must(); err != nil {
		return err
	}
	return o.change(do)
}

func (o *object) Remove() error {
	return o.changeOld(func(v *view) error { v.remove(); return nil })
}

func (o *object) Write(off uint64, p []byte) error {
	return o.change(func(v *view) error { return v.write(off, slices.Clone(p)) })
}

func (o *object) WriteFull(p []byte) error {
	return o.change(func(v *view) error { return v.writeFull(slices.Clone(p)) })
}

func (o *object) Truncate(size uint64) error {
	return o.change(func(v *view) error { v.create(); return v.truncate(size) })
}

func (o *object) Zero(off, n uint64) error {
	return o.changeOld(func(v *view) error { return v.zero(off, n) })
}

func (o *object) SetAttr(name string, value []byte) error {
	return o.change(func(v *view) error { return v.setAttr(name, value) })
}

func (o *object) RmAttr(name string) error {
	return o.changeOld(func(v *view) error { v.rmAttr(name); return nil })
}

func (o *object) OmapSet(kv map[string][]byte) error {
	return o.change(func(v *view) error { return v.omapSet(kv) })
}

func (o *object) OmapRm(keys ...string) error {
	return o.changeOld(func(v *view) error { return v.omapRm(keys) })
}

func (o *object) OmapClear() error {
	return o.changeOld(func(v *view) error { v.omapClear(); return nil })
}

func (o *object) SetOmapHeader(p []byte) error {
	return o.change(func(v *view) error { return v.setOmapHeader(p) })
}
