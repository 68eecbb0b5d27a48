package btree

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// TestAppendFrozen: what is appended to a frozen delta is in the tree once that is
// published, unless the delta has it deleted or with another value; until then readers
// see what they saw before, and GetFrozen what will be.
func TestAppendFrozen(t *testing.T) {
	for _, cfg := range modelConfigs {
		if cfg.Set || cfg.FixedVal != 0 {
			continue
		}
		rnd := rand.New(rand.NewPCG(5, uint64(cfg.Kind)))
		m := newModel(cfg)
		const keys = 2000
		for round := range 12 {
			for range rnd.IntN(600) {
				switch k := modelKey(cfg, rnd.Uint64N(keys), 300); rnd.IntN(6) {
				case 0:
					m.del(k)
				case 1:
					m.delRange(k, modelKey(cfg, rnd.Uint64N(keys), 300))
				case 2:
					m.put(k, modelVal(cfg, rnd.Uint64N(keys)))
				default:
					m.put(k, nil)
				}
			}
			m.freeze()
			before := maps.Clone(m.want)
			after := maps.Clone(m.want)
			step := 1 + rnd.Uint64N(20)
			for n := rnd.Uint64N(step); n < keys; n += 1 + rnd.Uint64N(step) {
				k, v := modelKey(cfg, n, 300), append(modelVal(cfg, n+uint64(round)), 'x')
				if old, del, ok := m.t.frozen.ents.get(k); !ok || !del && len(old) == 0 {
					after[string(k)] = string(v)
				}
				m.t.AppendFrozen(k, v)
			}
			if rnd.IntN(2) == 0 { // not in order: as PutFrozen
				k := modelKey(cfg, 1, 300)
				m.t.AppendFrozen(k, []byte{1})
				before[string(k)], m.want[string(k)], after[string(k)] = "\x01", "\x01", "\x01"
			}
			for n := range uint64(keys) {
				k := modelKey(cfg, n, 300)
				want, has := after[string(k)]
				if got, ok, err := m.t.GetFrozen(bg, k, nil); ok != has || string(got) != want || err != nil {
					t.Fatalf("tree %s: %q is frozen as %.40q, %v, %v, want %.40q, %v", cfg.Name, k, got, ok, err, want, has)
				}
				if _, ok := before[string(k)]; ok {
					m.get(t, k)
				}
			}
			m.reconcile(t)
			m.want = after
			m.publish(t)
			m.check(t, nil, nil)
			for n := range uint64(keys) {
				m.get(t, modelKey(cfg, n, 300))
			}
		}
	}
}
