package memstore_test

import (
	"context"
	"testing"

	"ebofs/osd"
	"ebofs/osd/memstore"
	"ebofs/osd/storetest"
)

func factory() storetest.Factory {
	make := func(o memstore.Options) *storetest.Handle {
		s := memstore.New(o)
		h := &storetest.Handle{Store: s}
		h.Reopen = func(context.Context) (osd.ObjectStore, error) {
			n, err := s.Reopen()
			s = n
			return n, err
		}
		return h
	}
	return storetest.Factory{
		New:      func(testing.TB) *storetest.Handle { return make(memstore.Options{}) },
		NewSmall: func(testing.TB) *storetest.Handle { return make(memstore.Options{CapacityBytes: 24 << 20}) },
	}
}

func TestSuite(t *testing.T)   { storetest.Run(t, factory()) }
func TestScripts(t *testing.T) { storetest.RunScripts(t, factory()) }

func TestModelFull(t *testing.T) { storetest.RunModelFull(t, factory(), 1, 3000) }

func TestModel(t *testing.T) { storetest.RunModel(t, factory(), 4, 5000) }
