package crashdev

import (
	"math/rand/v2"
	"slices"

	"ebofs/devices"
)

// plan lists the fates to try. There may be equal ones, and different ones may
// give equal images.
func (o *Policy) plan(pending []*write, completed []int, tearBytes int) []fates {
	all, random := o.AllSubsets, o.Random
	if all == 0 {
		all = 10
	}
	if random == 0 {
		random = 32
	}
	n := len(pending)
	r := rand.New(rand.NewPCG(o.Seed, uint64(n)))
	list := []fates{make(fates, n), uniform(n, kept)}
	if n <= min(all, 20) {
		for set := uint64(1); set+1 < 1<<n; set++ {
			list = append(list, subset(n, func(i int) bool { return set>>i&1 == 1 }))
		}
	} else {
		list = append(list, sample(n, completed)...)
		for range max(random, 0) {
			list = append(list, subset(n, func(int) bool { return r.IntN(2) == 0 }))
		}
	}
	if !o.NoTorn {
		for i, w := range pending {
			if w.sectors(tearBytes) > 1 {
				list = append(list, tears(n, i, w)...)
			}
		}
	}
	if o.Limit > 0 && len(list) > o.Limit {
		rest := list[2:]
		r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	return list
}

// sample lists subsets of many writes: each alone, each missing, prefixes.
func sample(n int, completed []int) (list []fates) {
	prefix := make(fates, n)
	for i := range n {
		list = append(list,
			subset(n, func(j int) bool { return j == i }),
			subset(n, func(j int) bool { return j != i }),
			subset(n, func(j int) bool { return j <= i }))
		prefix[completed[i]] = kept
		list = append(list, slices.Clone(prefix))
	}
	return list
}

// tears lists the ways write i can be torn, with all others kept and with only
// the earlier ones kept.
func tears(n, i int, w *write) (list []fates) {
	for f := tornFirst; f < numFates; f++ {
		if w.op != devices.OpWrite && f > tornSecond {
			break // zeros have no sectors of their own
		}
		for _, later := range []fate{kept, lost} {
			x := uniform(n, kept)
			for j := i + 1; j < n; j++ {
				x[j] = later
			}
			x[i] = f
			list = append(list, x)
			if i == n-1 {
				break // no later ones
			}
		}
	}
	return list
}

func uniform(n int, f fate) fates { return subset(n, func(int) bool { return f == kept }) }

func subset(n int, in func(i int) bool) fates {
	f := make(fates, n)
	for i := range f {
		if in(i) {
			f[i] = kept
		}
	}
	return f
}

// completionOrder returns the indices of pending sorted by completion at event
// seq, those still in flight last.
func completionOrder(pending []*write, seq int) []int {
	done := func(i int) int {
		if w := pending[i]; w.done <= seq {
			return w.done
		}
		return never
	}
	order := make([]int, len(pending))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := done(a), done(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return order
}
