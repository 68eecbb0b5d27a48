package rbd

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// Prefixes of the keys of a directory. The trash has ids, too.
const (
	namePrefix = "name_"
	idPrefix   = "id_"
)

// entry is an image in the directory.
type entry struct{ name, id string }

func decodeEntry(d *denc.Decoder) entry { return entry{d.Str(), d.Str()} }

// addEntry adds an image of which neither name nor id is there.
func addEntry(c cls.Context, e entry) error {
	if err := e.vacant(c); err != nil {
		return err
	}
	switch there, err := has(c, idPrefix+e.id); {
	case err != nil:
		return err
	case there:
		return ceph.EBADF
	}
	return e.store(c)
}

// vacant returns why an entry with its name cannot be added, nil if it can.
func (e entry) vacant(c cls.Context) error {
	if e.name == "" || !validID(e.id) {
		return ceph.EINVAL
	}
	there, err := has(c, namePrefix+e.name)
	if there {
		return ceph.EEXIST
	}
	return err
}

func (e entry) store(c cls.Context) error {
	var name, id denc.Encoder
	name.Str(e.name)
	id.Str(e.id)
	return c.OmapSet(map[string][]byte{namePrefix + e.name: id.Bytes(), idPrefix + e.id: name.Bytes()})
}

// removeEntry removes an image; ESTALE if name and id are not of the same one.
func removeEntry(c cls.Context, e entry) error {
	id, err := get(c, namePrefix+e.name, str)
	if err != nil {
		return err
	}
	name, err := get(c, idPrefix+e.id, str)
	if err != nil {
		return err
	}
	if name != e.name || id != e.id {
		return ceph.ESTALE
	}
	return c.OmapRm(namePrefix+e.name, idPrefix+e.id)
}

// rename is an entry and the name it is to have.
type rename struct {
	entry
	to string
}

func decodeRename(d *denc.Decoder) rename {
	from, to, id := d.Str(), d.Str(), d.Str()
	return rename{entry{from, id}, to}
}

func renameEntry(c cls.Context, r rename) error {
	if err := removeEntry(c, r.entry); err != nil {
		return err
	}
	e := entry{r.to, r.id}
	if err := e.vacant(c); err != nil {
		return err
	}
	return e.store(c)
}

// lookUp returns the method that finds the other half of an entry.
func lookUp(prefix string) func(cls.Context, string, *denc.Encoder) error {
	return func(c cls.Context, key string, out *denc.Encoder) error {
		v, err := get(c, prefix+key, str)
		out.Str(v)
		return err
	}
}

// listEntries returns a map of names to ids.
func listEntries(c cls.Context, s span, out *denc.Encoder) error {
	return list(c, namePrefix, s, out, (*denc.Encoder).Raw)
}
