package dump

import (
	"context"
	"errors"
	"fmt"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// Image is a store as its device shows it. It is not mounted.
type Image struct {
	Found ebofs.Found
	Super layout.Superblock
	Place layout.Placement
	Log   devices.Device // the log device, if there is one and it was given

	dev   devices.Device
	pool  *devices.Pool
	cache *btree.Cache

	roots    ebofs.Roots
	rootErr  error
	rootRead bool
}

// Open finds the newest superblock on dev. It reads nothing below it, so that it
// works on a store whose root is damaged. Close the image before dev.
func Open(ctx context.Context, dev devices.Device) (*Image, error) {
	m := &Image{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}
	var err error
	m.Found, err = ebofs.Find(ctx, dev)
	if err != nil {
		return nil, errors.Join(err, m.pool.Close())
	}
	m.Super = m.Found.Super
	m.Place = m.Super.Placement()
	m.cache = btree.NewCache(pageReader{dev}, m.pool, 64<<20)
	return m, nil
}

// At turns to an epoch that the newest checkpoint keeps.
func (m *Image) At(ctx context.Context, epoch uint64) error {
	sb, err := ebofs.FindEpoch(ctx, m.dev, &m.Found.Super, epoch)
	if err != nil {
		return err
	}
	m.Super, m.Place, m.rootRead = sb, sb.Placement(), false
	return nil
}

// Close gives memory back.
func (m *Image) Close() error {
	m.cache.Clear()
	return m.pool.Close()
}

// pageReader reads nodes from the main device.
type pageReader struct{ dev devices.Device }

func (r pageReader) ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error {
	a := layout.Addr(addr)
	if a.Device() != 0 {
		return fmt.Errorf("node at %v: %w", a, devices.ErrRange)
	}
	return r.dev.Read(ctx, devices.Block(a.Block()), devices.Vec{dst[:blocks*layout.BlockSize]})
}

// Roots reads root record and zone tables, once.
func (m *Image) Roots(ctx context.Context) (*ebofs.Roots, error) {
	if !m.rootRead {
		m.rootRead = true
		m.roots, m.rootErr = ebofs.ReadRoots(ctx, m.dev, &m.Super)
	}
	return &m.roots, m.rootErr
}

// read returns n blocks from b.
func (m *Image) read(ctx context.Context, b uint64, n int) ([]byte, error) {
	f := m.pool.Get(n * layout.BlockSize)
	defer f.Release()
	if err := m.dev.Read(ctx, devices.Block(b), f.Vec()); err != nil {
		return nil, err
	}
	return append([]byte(nil), f.Bytes()...), nil
}

// walk visits a tree; damage is told to bad and passed over.
func (m *Image) walk(ctx context.Context, kind layout.TreeKind, id uint64, root btree.Root, item func(key, val []byte, ext []btree.BlobExtent) error, bad func(where string, err error)) error {
	cfg := ebofs.TreeConfig(kind, m.Super.FSID)
	return btree.Walk(ctx, m.cache.Scan(), cfg, &btree.Owner{ID: id}, root, btree.Visitor{
		Item: item,
		Damage: func(n *btree.Node, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			bad(fmt.Sprintf("%v node at %v", kind, layout.Addr(n.Ptr.Addr)), err)
			return nil
		},
	})
}

// blob reads an overflow value.
func (m *Image) blob(ctx context.Context, ext []btree.BlobExtent) ([]byte, error) {
	size := 0
	for _, e := range ext {
		size += int(e.Bytes)
	}
	p := make([]byte, size)
	return p, m.cache.ReadBlob(ctx, ext, p)
}

// value returns an entry's value wherever it is.
func (m *Image) value(ctx context.Context, val []byte, ext []btree.BlobExtent) ([]byte, error) {
	if ext == nil {
		return val, nil
	}
	return m.blob(ctx, ext)
}

// tree returns a readable tree.
func (m *Image) tree(kind layout.TreeKind, id uint64, root btree.Root) *btree.Tree {
	return btree.New(ebofs.TreeConfig(kind, m.Super.FSID), m.cache, btree.Owner{ID: id}, root)
}

// errFound ends a walk that has what it wanted.
var errFound = errors.New("found")

// Object finds an object by its full form, by name with the usual hash in any
// collection's pool, or, if that fails, by looking at all names. It returns
// ebofs.ErrNotFound, and ebofs.ErrInvalid for a name that is not unique.
func (m *Image) Object(ctx context.Context, oid string) (layout.ObjectKey, layout.Onode, error) {
	none := func(err error) (layout.ObjectKey, layout.Onode, error) {
		return layout.ObjectKey{}, layout.Onode{}, err
	}
	r, err := m.Roots(ctx)
	if err != nil {
		return none(err)
	}
	objects := m.tree(layout.TreeObjects, 0, r.Record.Objects)
	get := func(k layout.ObjectKey) (layout.Onode, bool, error) {
		val, ok, err := objects.Get(ctx, k.AppendKey(nil), nil)
		if err != nil || !ok {
			return layout.Onode{}, false, err
		}
		o, err := layout.DecodeOnode(val)
		return o, true, err
	}
	if k, err := layout.ParseObjectKey(oid); err == nil {
		o, ok, err := get(k)
		if err == nil && !ok {
			err = fmt.Errorf("object %s: %w", oid, ebofs.ErrNotFound)
		}
		return k, o, err
	}
	seen := map[int64]bool{}
	var found []layout.ObjectKey
	var damage error // it may be what hides the object
	note := func(where string, err error) {
		if damage == nil {
			damage = fmt.Errorf("%s: %w", where, err)
		}
	}
	err = m.walk(ctx, layout.TreeCollections, 0, r.Record.Collections, func(_, val []byte, ext []btree.BlobExtent) error {
		if val, err = m.value(ctx, val, ext); err != nil {
			return nil
		}
		c, err := layout.DecodeCnode(val)
		if err != nil || seen[c.Range.Pool] {
			return nil
		}
		seen[c.Range.Pool] = true
		k := ebofs.NewObjectID(c.Range.Pool, oid)
		if _, ok, err := get(k); err != nil {
			note("object tree", err)
		} else if ok {
			found = append(found, k)
		}
		return nil
	}, note)
	if err == nil && len(found) == 0 {
		err = m.walk(ctx, layout.TreeObjects, 0, r.Record.Objects, func(key, _ []byte, _ []btree.BlobExtent) error {
			if k, err := layout.DecodeObjectKey(key); err == nil && k.Name == oid {
				if found = append(found, k); len(found) > 1 {
					return errFound
				}
			}
			return nil
		}, note)
		if errors.Is(err, errFound) {
			err = nil
		}
	}
	switch {
	case err != nil:
		return none(err)
	case len(found) == 0 && damage != nil:
		return none(fmt.Errorf("object %q: not in what can be read: %w", oid, damage))
	case len(found) == 0:
		return none(fmt.Errorf("object %q: %w", oid, ebofs.ErrNotFound))
	case len(found) > 1:
		return none(fmt.Errorf("object %q: several have that name, for example %v and %v: %w", oid, found[0], found[1], ebofs.ErrInvalid))
	}
	o, _, err := get(found[0])
	return found[0], o, err
}
