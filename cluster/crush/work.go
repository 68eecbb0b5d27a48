package crush

import (
	"slices"
	"strconv"
)

// MaxDraws is how many buckets one mapping draws from at most (I2). The deepest
// rule that Ceph makes by itself, an erasure-coded pool of 20 shards with 100 tries
// of a shard and 5 of a leaf, draws 20000 times when nothing can be found; this is
// three times as many, and some 20 ms with buckets of usual size. A rule that asks
// for more tries than that gets a result that is cut, not an endless search.
const MaxDraws = 1 << 16

// Request is what to map.
type Request struct {
	Rule int
	X    uint32
	Size int // how many devices are wanted
	// Reweights says by device how much of it is in: One and more wholly, 0 not at
	// all. A device beyond the list is out.
	Reweights []Weight
	Args      *Args // from Mapper.Args, or nil
}

// Result is a placement.
type Result struct {
	// Devices belong to the Work and are valid until its next mapping. Rules of
	// replicated pools leave out what is missing, others have None there.
	Devices []int32
	// Short says that fewer than Size devices were found.
	Short bool
	// Cut says that it is short because MaxDraws was reached.
	Cut bool
}

// Work is the memory of a mapping, for one goroutine. The zero value is ready.
type Work struct {
	p       *Mapper
	req     Request
	draws   int     // left
	force   []int32 // items every chosen path has to go through first; see force.go
	chooser chooser // of the step that runs
	in, out []int32 // what the steps of a rule hand on
	leaves  []int32
	result  []int32
}

// Map runs a rule. A rule that is not there gives an empty, short result.
func (p *Mapper) Map(w *Work, req Request) Result {
	w.force = w.force[:0]
	return p.run(w, req)
}

func (p *Mapper) run(w *Work, req Request) Result {
	w.p, w.req, w.draws = p, req, MaxDraws
	w.result = w.result[:0]
	if req.Rule >= 0 && req.Rule < len(p.rules) && p.rules[req.Rule] != nil && req.Size > 0 {
		w.steps(p.rules[req.Rule].Steps)
	}
	r := Result{Devices: w.result, Cut: w.draws < 0}
	found := 0
	for _, d := range r.Devices {
		if d != None {
			found++
		}
	}
	r.Short = found < req.Size
	r.Cut = r.Cut && r.Short
	return r
}

// settings are what steps may set for those behind them.
type settings struct {
	tries, leafTries           int32 // leafTries 0: not set
	localTries, localFallbacks int32
	varyR, stable              int32
	descendOnce                bool
}

func (w *Work) steps(steps []Step) {
	t := &w.p.tunables
	s := settings{
		// The tunable counts retries, everything else counts tries.
		tries:      clamp(uint64(t.TotalTries) + 1),
		localTries: clamp(uint64(t.LocalTries)), localFallbacks: clamp(uint64(t.LocalFallbackTries)),
		varyR: int32(t.VaryR), stable: int32(t.Stable), descendOnce: t.DescendOnce != 0,
	}
	w.in = w.in[:0]
	for _, step := range steps {
		switch step.Op {
		case Take:
			if _, ok := w.p.typeOf(step.Arg1); ok {
				w.in = append(w.in[:0], step.Arg1)
			}
		case Emit:
			if len(w.force) > 0 && slices.Contains(w.in, w.forcedDevice()) {
				w.force = w.force[:0] // once is enough
			}
			for _, item := range w.in {
				if len(w.result) < w.req.Size {
					w.result = append(w.result, item)
				}
			}
			w.in = w.in[:0]
		case ChooseFirstN, ChooseLeafFirstN, ChooseIndep, ChooseLeafIndep:
			w.choose(step, &s)
		default:
			s.set(step)
		}
	}
}

// clamp brings what the map says into the range of the counters.
func clamp(v uint64) int32 { return int32(min(v, 1<<31-1)) }

func (s *settings) set(step Step) {
	v := step.Arg1
	switch {
	case step.Op == SetChooseTries && v > 0:
		s.tries = v
	case step.Op == SetChooseLeafTries && v > 0:
		s.leafTries = v
	case v < 0:
	case step.Op == SetChooseLocalTries:
		s.localTries = v
	case step.Op == SetChooseLocalFallback:
		s.localFallbacks = v
	case step.Op == SetChooseLeafVaryR:
		s.varyR = v
	case step.Op == SetChooseLeafStable:
		s.stable = v
	}
}

// choose replaces every bucket of w.in by what is chosen in it.
func (w *Work) choose(step Step, s *settings) {
	n := int(step.Arg1)
	if n <= 0 {
		n += w.req.Size
	}
	w.out, w.leaves = w.out[:0], w.leaves[:0]
	leaf := step.Op == ChooseLeafFirstN || step.Op == ChooseLeafIndep
	for _, id := range w.in {
		b, room := w.p.bucket(id), w.req.Size-len(w.out)
		if b == nil || n <= 0 || room <= 0 {
			continue
		}
		c := &w.chooser
		*c = chooser{
			w: w, typ: step.Arg2, want: n, tries: s.tries, localTries: s.localTries, localFallbacks: s.localFallbacks,
			leaf: leaf, varyR: s.varyR, stable: s.stable != 0, base: len(w.out),
		}
		switch step.Op {
		case ChooseFirstN, ChooseLeafFirstN:
			c.leafTries = s.leafTries
			if c.leafTries == 0 {
				c.leafTries = s.tries
				if s.descendOnce {
					c.leafTries = 1
				}
			}
			c.firstN(b, room)
		default:
			c.leafTries = max(s.leafTries, 1)
			c.indep(b, min(n, room))
		}
	}
	if leaf {
		w.out, w.leaves = w.leaves, w.out
	}
	w.in, w.out = w.out, w.in
}

// isOut reports whether a device is not to be used for this input, as no bucket is
// that a map has among the devices.
func (w *Work) isOut(device int32) bool {
	if device < 0 || int(device) >= len(w.req.Reweights) {
		return true
	}
	weight := w.req.Reweights[device]
	switch {
	case weight >= One:
		return false
	case weight == 0:
		return true
	}
	return Hash2(w.req.X, uint32(device))&0xffff >= weight
}

// spend counts a draw; false ends the mapping.
func (w *Work) spend() bool {
	w.draws--
	return w.draws >= 0
}

// AppendDevices appends a placement as Ceph's tools print it: [1,2,3].
func AppendDevices(p []byte, devices []int32) []byte {
	p = append(p, '[')
	for i, d := range devices {
		if i > 0 {
			p = append(p, ',')
		}
		p = strconv.AppendInt(p, int64(d), 10)
	}
	return append(p, ']')
}
