package btree

import (
	"bytes"
	"context"
	"fmt"
)

// Builder makes a tree of items that come in order: full pages, one page and a
// half of every level in RAM.
type Builder struct {
	m    *merger
	last []byte
	any  bool
	err  error
}

// Bulk returns a builder of a tree of kind cfg. Pages go to sink as they are
// full.
func Bulk(ctx context.Context, cfg *Config, own *Owner, sink Sink) *Builder {
	m := newMerger(ctx, cfg, own, nil, sink)
	m.bulk = true
	return &Builder{m: m}
}

// Add appends an item; its key is above all before. It copies both. After an
// error every call returns it.
func (b *Builder) Add(key, val []byte) error {
	if b.err != nil {
		return b.err
	}
	if b.err = b.m.cfg.CheckKey(key); b.err == nil {
		b.err = b.m.cfg.CheckValue(val)
	}
	if b.err == nil && b.any && bytes.Compare(b.last, key) >= 0 {
		b.err = fmt.Errorf("bulk load of tree %q: key %x after %x: %w", b.m.cfg.Name, key, b.last, ErrOrder)
	}
	if b.err == nil {
		b.last, b.any = append(b.last[:0], key...), true
		b.err = b.m.put(key, val)
	}
	return b.err
}

// Finish writes the rest and returns the root. The builder is of no use
// afterwards, whatever it returns.
func (b *Builder) Finish() (Root, error) {
	m := b.m
	if b.err != nil || m == nil {
		return Root{}, b.err
	}
	root, err := m.finish(m.cfg.InlineBytes)
	b.err = fmt.Errorf("builder of tree %q is finished: %w", m.cfg.Name, ErrInvalid)
	b.m = nil
	m.close()
	return root, err
}
