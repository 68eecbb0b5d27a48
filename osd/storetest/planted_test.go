package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ebofs/osd"
	"ebofs/osd/memstore"
	"ebofs/osd/storetest"
)

// faulty is a memstore with one mistake.
type faulty struct {
	*memstore.Store
	change func(op osd.Op) []osd.Op // what it does instead of op; nil: op
	read   func(off uint64, p []byte)
	list   func(ids []osd.ObjectID, start *osd.ObjectID) []osd.ObjectID
	iter   func(k string) (skip bool)
	torn   bool // a refused transaction leaves what came before the refusal
	notice func(onCommit func(error)) func(error)
}

func (s *faulty) Queue(ctx context.Context, t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	if s.change != nil {
		n := new(osd.Transaction)
		for _, op := range t.Ops() {
			for _, o := range s.change(op) {
				n.Add(o)
			}
		}
		t = n
	}
	if s.notice != nil && onCommit != nil {
		onCommit = s.notice(onCommit)
	}
	err := s.Store.Queue(ctx, t, onApplied, onCommit)
	if err != nil && s.torn {
		for _, op := range t.Ops() {
			n := new(osd.Transaction)
			n.Add(op)
			if s.Store.Queue(ctx, n, nil, nil) != nil {
				break
			}
		}
	}
	return err
}

func (s *faulty) Read(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off uint64, p []byte) (int, error) {
	n, err := s.Store.Read(ctx, c, o, off, p)
	if s.read != nil {
		s.read(off, p[:n])
	}
	return n, err
}

func (s *faulty) List(ctx context.Context, c osd.CollectionID, start, end *osd.ObjectID, max int) ([]osd.ObjectID, *osd.ObjectID, error) {
	ids, next, err := s.Store.List(ctx, c, start, end, max)
	if s.list != nil {
		ids = s.list(ids, start)
	}
	return ids, next, err
}

func (s *faulty) OmapIter(ctx context.Context, c osd.CollectionID, o osd.ObjectID, first, last string, fn func(string, []byte) bool) error {
	return s.Store.OmapIter(ctx, c, o, first, last, func(k string, v []byte) bool {
		return s.iter != nil && s.iter(k) || fn(k, v)
	})
}

// only replaces operations of one kind.
func only(kind osd.OpKind, with func(op osd.Op) []osd.Op) func(osd.Op) []osd.Op {
	return func(op osd.Op) []osd.Op {
		if op.Kind == kind {
			return with(op)
		}
		return []osd.Op{op}
	}
}

// TestPlanted plants mistakes that real stores make, and demands that random
// scripts find each of them.
func TestPlanted(t *testing.T) {
	mistakes := map[string]func(s *faulty){
		"none": func(*faulty) {},
		"clear keeps the header": func(s *faulty) {
			s.change = only(osd.OpOmapClear, func(op osd.Op) []osd.Op {
				return []osd.Op{{Kind: osd.OpOmapRmRange, Coll: op.Coll, Obj: op.Obj}}
			})
		},
		"range removal takes its end": func(s *faulty) {
			s.change = only(osd.OpOmapRmRange, func(op osd.Op) []osd.Op {
				if op.Last != "" && op.Name < op.Last {
					op.Last += "\x00"
				}
				return []osd.Op{op}
			})
		},
		"zero does not extend": func(s *faulty) {
			s.change = only(osd.OpZero, func(op osd.Op) []osd.Op {
				return []osd.Op{{Kind: osd.OpTouch, Coll: op.Coll, Obj: op.Obj}}
			})
		},
		"large writes lose a byte": func(s *faulty) {
			s.change = only(osd.OpWrite, func(op osd.Op) []osd.Op {
				if n := len(op.Data); n > 65536 {
					op.Data = op.Data[:n-1]
				}
				return []osd.Op{op}
			})
		},
		"rename loses the attrs": func(s *faulty) {
			s.change = only(osd.OpRename, func(op osd.Op) []osd.Op {
				return []osd.Op{op, {Kind: osd.OpRmAttrs, Coll: op.Coll, Obj: op.To}}
			})
		},
		"remove keeps the object": func(s *faulty) {
			s.change = only(osd.OpRemove, func(op osd.Op) []osd.Op {
				return []osd.Op{{Kind: osd.OpTruncate, Coll: op.Coll, Obj: op.Obj}}
			})
		},
		"attrs replace all others": func(s *faulty) {
			s.change = only(osd.OpSetAttrs, func(op osd.Op) []osd.Op {
				return []osd.Op{{Kind: osd.OpTouch, Coll: op.Coll, Obj: op.Obj}, {Kind: osd.OpRmAttrs, Coll: op.Coll, Obj: op.Obj}, op}
			})
		},
		"last byte of a large block is stale": func(s *faulty) {
			s.read = func(off uint64, p []byte) {
				if at := 262143 - off; off <= 262143 && at < uint64(len(p)) {
					p[at] = 0xee
				}
			}
		},
		"a page repeats its start": func(s *faulty) {
			s.list = func(ids []osd.ObjectID, start *osd.ObjectID) []osd.ObjectID {
				if start != nil && len(ids) > 0 {
					ids = append(ids[:1:1], ids...)
				}
				return ids
			}
		},
		"the longest key is skipped": func(s *faulty) { s.iter = func(k string) bool { return len(k) > 240 } },
		"not atomic":                 func(s *faulty) { s.torn = true },
		"committed twice": func(s *faulty) {
			s.notice = func(fn func(error)) func(error) { return func(err error) { fn(err); fn(err) } }
		},
		"commit fails": func(s *faulty) {
			s.notice = func(fn func(error)) func(error) { return func(error) { fn(errors.New("device")) } }
		},
		"commits out of order": func(s *faulty) {
			var held func(error)
			s.notice = func(fn func(error)) func(error) {
				return func(err error) {
					if held == nil {
						held = fn
						return
					}
					fn(err)
					held(err)
					held = nil
				}
			}
		},
	}
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			f := storetest.Factory{New: func(testing.TB) *storetest.Handle {
				s := &faulty{Store: memstore.New(memstore.Options{})}
				mistake(s)
				return &storetest.Handle{Store: s}
			}}
			var found error
			for seed := uint64(1); seed <= 4 && found == nil; seed++ {
				found = storetest.Try(t, f, seed, 3000)
			}
			if (found != nil) != (name != "none") {
				t.Errorf("found: %v", found)
			}
		})
	}
	// And what only reopening shows.
	t.Run("reopening forgets", func(t *testing.T) {
		f := storetest.Factory{New: func(testing.TB) *storetest.Handle {
			h := &storetest.Handle{}
			var last *osd.Transaction
			open := func(m *memstore.Store) osd.ObjectStore {
				s := &faulty{Store: m}
				s.change = func(op osd.Op) []osd.Op {
					last = new(osd.Transaction)
					last.Add(osd.Op{Kind: osd.OpOmapClear, Coll: op.Coll, Obj: op.Obj})
					return []osd.Op{op}
				}
				return s
			}
			h.Store = open(memstore.New(memstore.Options{}))
			h.Reopen = func(ctx context.Context) (osd.ObjectStore, error) {
				m, err := h.Store.(*faulty).Store.Reopen()
				if err != nil {
					return nil, err
				}
				if last != nil {
					_ = m.Queue(ctx, last, nil, nil)
				}
				return open(m), nil
			}
			return h
		}}
		if err := storetest.Try(t, f, 1, 4000); err == nil {
			t.Error("not found")
		} else {
			t.Log(fmt.Sprint(err))
		}
	})
}
