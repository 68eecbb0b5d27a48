package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/osd"
)

// Check reports what is wrong with found, the contents of a store that was given
// transactions 1 to submitted of the history and then crashed: I1, I2 and I3 of
// the package documentation. acked reports which of them had been acknowledged;
// nil means none.
func (h *History) Check(found Picture, submitted int, acked func(i int) bool) error {
	cs := h.collections(found, submitted)
	choices := make([][]int, len(cs))
	for i, c := range cs {
		choices[i] = h.choices(c, found[c], h.floor(c, submitted, acked), submitted)
		if len(choices[i]) == 0 {
			return h.explain(c, found[c], h.floor(c, submitted, acked), submitted)
		}
	}
	if h.agree(cs, choices, make([]int, 0, len(cs)), submitted) {
		return nil
	}
	var b strings.Builder
	for i, c := range cs {
		fmt.Fprintf(&b, "\n  collection %q is as after transaction %v", c, choices[i])
	}
	return fmt.Errorf("a transaction is in one of its collections and not in another:%s", b.String())
}

// collections returns every collection that exists in found or existed in a step
// up to submitted.
func (h *History) collections(found Picture, submitted int) []osd.CollectionID {
	all := map[osd.CollectionID]bool{}
	for c := range found {
		all[c] = true
	}
	for _, s := range h.steps[:submitted+1] {
		for c := range s.pic {
			all[c] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// floor returns the last acknowledged transaction that names c, 0 if none.
func (h *History) floor(c osd.CollectionID, submitted int, acked func(i int) bool) int {
	for i := submitted; i > 0 && acked != nil; i-- {
		if acked(i) && slices.Contains(h.steps[i].colls, c) {
			return i
		}
	}
	return 0
}

// choices returns the steps in [floor, submitted] that show c as got: floor
// itself and the transactions that name c, for between those c does not change.
func (h *History) choices(c osd.CollectionID, got *Collection, floor, submitted int) (ks []int) {
	for k := floor; k <= submitted; k++ {
		if (k == floor || slices.Contains(h.steps[k].colls, c)) && got.same(h.steps[k].pic[c]) {
			ks = append(ks, k)
		}
	}
	return ks
}

// agree reports whether one step can be chosen for each collection so that every
// transaction is in all of its collections or in none. chosen holds the choices
// for the first of cs.
func (h *History) agree(cs []osd.CollectionID, choices [][]int, chosen []int, submitted int) bool {
	n := len(chosen)
	if n == len(cs) {
		return true
	}
	for _, k := range choices[n] {
		if h.fits(cs, append(chosen, k), submitted) && h.agree(cs, choices, append(chosen, k), submitted) {
			return true
		}
	}
	return false
}

// fits reports whether the last of chosen agrees with those before it.
func (h *History) fits(cs []osd.CollectionID, chosen []int, submitted int) bool {
	last := len(chosen) - 1
	for t := 1; t <= submitted; t++ {
		if len(h.steps[t].colls) < 2 || !slices.Contains(h.steps[t].colls, cs[last]) {
			continue
		}
		for i, k := range chosen[:last] {
			if slices.Contains(h.steps[t].colls, cs[i]) && (k >= t) != (chosen[last] >= t) {
				return false
			}
		}
	}
	return true
}

// explain returns the error for a collection that is like no allowed step, with
// the differences to the nearest one.
func (h *History) explain(c osd.CollectionID, got *Collection, floor, submitted int) error {
	best, nearest := -1, []string(nil)
	for k := floor; k <= submitted; k++ {
		if d := differences(got, h.steps[k].pic[c]); best < 0 || len(d) < len(nearest) {
			best, nearest = k, d
		}
	}
	text := strings.Join(nearest[:min(len(nearest), 8)], "\n  ")
	for k := 0; k < floor; k++ {
		if got.same(h.steps[k].pic[c]) {
			return fmt.Errorf("collection %q is as after transaction %d, but %d of %d was acknowledged:\n  %s", c, k, floor, submitted, text)
		}
	}
	return fmt.Errorf("collection %q is like no state from transaction %d (acknowledged) to %d (submitted); nearest is %d:\n  %s", c, floor, submitted, best, text)
}

// Same reports how got, collection c of some picture, is not want.
func Same(c osd.CollectionID, got, want *Collection) error {
	if got.same(want) {
		return nil
	}
	lines := differences(got, want)
	return fmt.Errorf("collection %q:\n  %s", c, strings.Join(lines[:min(len(lines), 8)], "\n  "))
}

// differences says how got is not want, one line an object.
func differences(got, want *Collection) (lines []string) {
	switch {
	case got == nil && want == nil:
		return nil
	case got == nil:
		return []string{"the collection is missing"}
	case want == nil:
		return []string{"the collection should not exist"}
	}
	if got.Spec != want.Spec {
		lines = append(lines, fmt.Sprintf("range %+v, want %+v", got.Spec, want.Spec))
	}
	for id, w := range want.Objects {
		g, ok := got.Objects[id]
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("object %v is missing", id))
		case g.Size != w.Size:
			lines = append(lines, fmt.Sprintf("object %v has %d bytes, want %d", id, g.Size, w.Size))
		case g.Meta != w.Meta:
			lines = append(lines, fmt.Sprintf("object %v: other attrs or omap", id))
		case !g.same(w):
			lines = append(lines, fmt.Sprintf("object %v: other data", id))
		}
	}
	for id := range got.Objects {
		if _, ok := want.Objects[id]; !ok {
			lines = append(lines, fmt.Sprintf("object %v should not exist", id))
		}
	}
	slices.Sort(lines)
	return lines
}
