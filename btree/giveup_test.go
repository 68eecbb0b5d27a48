package btree

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// giverUp gives up whatever it is asked to and remembers the ranges.
type giverUp struct {
	*MemStore
	lost    []keySpan
	changes int
	refuse  error
}

type keySpan struct{ low, high []byte }

func (s *giverUp) GiveUp(_ *Config, _ *Owner, low, high []byte, _ Ptr, changes int, cause error) error {
	if s.refuse != nil {
		return fmt.Errorf("%w: %w", s.refuse, cause)
	}
	if changes > 0 {
		s.lost = append(s.lost, keySpan{bytes.Clone(low), bytes.Clone(high)})
		s.changes += changes
	}
	return nil
}

func (s *giverUp) holds(k string) bool {
	return slices.ContainsFunc(s.lost, func(r keySpan) bool {
		return k >= string(r.low) && (r.high == nil || k < string(r.high))
	})
}

// TestGiveUp reconciles over damaged nodes of every level. A key is right or an
// error; no key fails that lies in a sound node; and what was given up stays so
// when the nodes are sound again.
func TestGiveUp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sum := 0
	for _, cfg := range modelConfigs {
		for round := range 12 {
			m := newModel(cfg)
			for n := range uint64(3000) {
				m.put(modelKey(cfg, n*3, 900), modelVal(cfg, n))
			}
			m.checkpoint(t)
			old := m.want
			m.want = map[string]string{}
			for k, v := range old {
				m.want[k] = v
			}

			// Damage nodes, remember them, and which keys they hold.
			addrs := m.s.Addrs()
			sound := map[uint64][]byte{}
			for range 1 + round%4 {
				a := addrs[rnd.IntN(len(addrs))]
				if sound[a] == nil {
					sound[a] = m.s.Node(a)
				}
				m.s.Corrupt(a, func(p []byte) []byte { p[rnd.IntN(64)] ^= 1; return p })
			}
			unreadable := map[string]bool{}
			for k := range old {
				if _, _, err := m.t.Get(bg, []byte(k), nil); err != nil {
					unreadable[k] = true
				}
			}

			for range 400 {
				n := rnd.Uint64N(9500)
				if k := modelKey(cfg, n, 900); rnd.IntN(3) == 0 {
					m.del(k)
				} else {
					m.put(k, modelVal(cfg, n+1))
				}
			}
			if round%3 == 0 {
				lo := rnd.Uint64N(9000)
				m.delRange(modelKey(cfg, lo, 0), modelKey(cfg, lo+900, 0))
			}
			m.t.Freeze()
			m.s.NextEpoch()
			if round%4 == 1 && round%3 != 0 {
				k := modelKey(cfg, rnd.Uint64N(9000), 900) // a leaf that is perhaps sound
				m.t.LoseFrozen(k)
			}
			sink := &giverUp{MemStore: m.s}
			root, err := m.t.Reconcile(bg, sink)
			if err != nil {
				t.Fatalf("%s round %d: %v", cfg.Name, round, err)
			}
			m.t.Publish(root)
			m.s.Settle()
			sum += sink.changes
			for _, healed := range []bool{false, true} {
				if healed {
					for a, p := range sound {
						if m.s.Node(a) != nil {
							m.s.Corrupt(a, func([]byte) []byte { return p })
						}
					}
				}
				for n := range uint64(9500) {
					k := modelKey(cfg, n, 900)
					v, ok, err := m.t.Get(bg, k, nil)
					want, has := m.want[string(k)]
					switch {
					case err != nil && !errors.Is(err, ErrCorrupt):
						t.Fatalf("%s round %d: %q: %v", cfg.Name, round, k, err)
					case err != nil && !sink.holds(string(k)) && (healed || !inside(unreadable, old, string(k))):
						t.Fatalf("%s round %d, healed %v: %q was sound: %v", cfg.Name, round, healed, k, err)
					case err == nil && sink.holds(string(k)):
						t.Fatalf("%s round %d, healed %v: %q was given up and is there", cfg.Name, round, healed, k)
					case err == nil && (ok != has || string(v) != want):
						t.Fatalf("%s round %d, healed %v: %q = %.40q, %v, want %.40q, %v", cfg.Name, round, healed, k, v, ok, want, has)
					}
				}
			}
			if err := m.s.Check(); err != nil {
				t.Fatal(err)
			}
			// A later reconcile goes round what was given up.
			for range 200 {
				if k := modelKey(cfg, rnd.Uint64N(9500), 900); !sink.holds(string(k)) {
					m.del(k)
				}
			}
			before := len(sink.lost)
			m.t.Freeze()
			m.s.NextEpoch()
			if root, err = m.t.Reconcile(bg, sink); err != nil {
				t.Fatalf("%s round %d, again: %v", cfg.Name, round, err)
			}
			m.t.Publish(root)
			m.s.Settle()
			if len(sink.lost) != before {
				t.Fatalf("%s round %d: given up without a change", cfg.Name, round)
			}
			for n := range uint64(9500) {
				k := modelKey(cfg, n, 900)
				v, ok, err := m.t.Get(bg, k, nil)
				if want, has := m.want[string(k)]; err == nil && (ok != has || string(v) != want) || err != nil != sink.holds(string(k)) {
					t.Fatalf("%s round %d, again: %q = %.40q, %v, %v, want %.40q, %v", cfg.Name, round, k, v, ok, err, want, has)
				}
			}
		}
	}
	if sum < 1000 {
		t.Errorf("only %d changes lost", sum)
	}
}

// inside says whether k lies where neighbours among old cannot be read.
func inside(unreadable map[string]bool, old map[string]string, k string) bool {
	if _, ok := old[k]; ok {
		return unreadable[k]
	}
	return true // no key was there: its leaf is not known
}

// TestGiveUpRefused: a GiverUp's no ends the merge.
func TestGiveUpRefused(t *testing.T) {
	m := fill(t, &Config{Name: "no", Kind: 1, LeafBytes: 4096, InnerBytes: 4096}, 5000, constVal("v"))
	for _, a := range m.s.Addrs() {
		m.s.Corrupt(a, func(p []byte) []byte { p[9] ^= 1; return p })
	}
	m.put([]byte("key/0000100"), []byte("w"))
	m.t.Freeze()
	if _, err := m.t.Reconcile(bg, &giverUp{MemStore: m.s, refuse: errTrap}); !errors.Is(err, errTrap) || !errors.Is(err, ErrCorrupt) {
		t.Errorf("reconcile: %v", err)
	}
	if _, err := m.t.Reconcile(bg, m.s); !errors.Is(err, ErrCorrupt) {
		t.Errorf("reconcile without a giverUp: %v", err)
	}
}
