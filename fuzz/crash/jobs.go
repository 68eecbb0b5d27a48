package crash

import (
	"fmt"
	"iter"
	"math/rand/v2"

	"ebofs/fuzz/history"
	"ebofs/osd"
)

// Singles yields every workload of no and of one operation in every mode.
func Singles(p Plan) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		for mode := range Mode(AllModes) {
			if !yield(Job{Workload{Mode: mode}, p}) {
				return
			}
			for _, op := range Alphabet {
				if !yield(Job{Workload{Ops: []Op{op}, Mode: mode}, p}) {
					return
				}
			}
		}
	}
}

// Pairs yields every workload of two operations, each in one mode, which turns
// from pair to pair; crashes are tried from the second operation on, at one
// moment less in every other pair: there are many pairs.
func Pairs(p Plan) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		for i, a := range Alphabet {
			for k, b := range Alphabet {
				mode := Mode((i + 3*k) % int(AllModes))
				q := p
				if (i+k)%2 == 1 && q.Points > 1 {
					q.Points--
				}
				if !yield(Job{Workload{Ops: []Op{a, b}, Mode: mode, From: 1}, q}) {
					return
				}
			}
		}
	}
}

// Long yields random workloads for the seeds [from, to): half letters of the
// alphabet, half operations with random arguments near the edges of blocks and
// stripes, on the objects of the base and a few more.
func Long(from, to uint64, p Plan) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		for seed := from; seed < to; seed++ {
			if !yield(Job{RandomWorkload(seed), p}) {
				return
			}
		}
	}
}

// EveryNth yields each n-th of jobs, for a quick look.
func EveryNth(n int, jobs iter.Seq[Job]) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		i := 0
		for j := range jobs {
			if i++; i%n == 0 && !yield(j) {
				return
			}
		}
	}
}

// RandomWorkload is the long workload of a seed.
func RandomWorkload(seed uint64) Workload {
	r := rand.New(rand.NewPCG(seed, 2))
	w := Workload{Title: fmt.Sprintf("long(%d)", seed), Mode: Mode(r.IntN(int(AllModes)))}
	for range 8 + r.IntN(40) {
		if r.IntN(2) == 0 {
			w.Ops = append(w.Ops, Alphabet[r.IntN(len(Alphabet))])
		} else {
			w.Ops = append(w.Ops, randomOp(r.Uint64()))
		}
	}
	return w
}

// randomOp returns an operation drawn from its seed.
func randomOp(seed uint64) Op {
	return Op{Name: fmt.Sprintf("random(%#x)", seed), Build: func(v uint64) *osd.Transaction {
		return history.Random(rand.New(rand.NewPCG(seed, v)), v, randomObject)
	}}
}

// randomObject returns one of the objects that exist in the base or are like
// them, in a collection that mostly exists.
func randomObject(r *rand.Rand) (osd.CollectionID, osd.ObjectID) {
	ids := []osd.ObjectID{objTiny, objData, objBig, objMeta, objNew}
	switch n := r.IntN(10); {
	case n < len(ids):
		return collMain, ids[n]
	case n < 8:
		return collMain, object(1, 0x80+uint32(2*n), fmt.Sprintf("more%d", n))
	case n == 8:
		return collSide, objSide
	default:
		return collLeft, objLeft
	}
}

// Find returns the job of a workload by what Name printed, for repeating it.
func Find(name string, p Plan) (Job, bool) {
	for _, all := range []iter.Seq[Job]{Singles(p), Pairs(p)} {
		for j := range all {
			if j.Workload.Name() == name {
				return j, true
			}
		}
	}
	var seed uint64
	if _, err := fmt.Sscanf(name, "long(%d)", &seed); err == nil {
		if j := (Job{RandomWorkload(seed), p}); j.Workload.Name() == name {
			return j, true
		}
	}
	return Job{}, false
}
