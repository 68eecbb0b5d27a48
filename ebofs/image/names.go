package image

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
)

// names scrambles the names of one kind. It is told all of them first, since only
// then is it known which bytes may follow which beginning: of those, and no others,
// the order has to be kept.
//
//	names  vm-001 vm-002 vm-017      a byte that always follows     v m - 0 → random
//	                                 one of several                 0 1     → two random ones, ascending
//
// So a name's byte depends on the bytes before it alone (P2), and says no more about
// them than in how many ways they go on. Where all 256 bytes follow, there is no choice.
type names struct {
	seed  [32]byte
	key   bool // names of objects, as in their encoded keys: 00 and what follows it stay
	found map[string]struct{}
	all   []string // sorted; nil while collecting
	forks map[fork]*choice
}

// fork is where the names all[lo:hi], equal up to byte depth, part.
type fork struct{ lo, hi, depth int }

// choice is how they go on.
type choice struct {
	from, to []byte // ascending
	end      []int  // of the names that go on with from[i]
}

// keptForks is how many names have to go through a fork that is remembered: those
// near the leaves are found again by looking.
const keptForks = 16

func newNames(seed [32]byte, kind byte, key bool) *names {
	return &names{seed: sha256.Sum256(append(seed[:], kind)), key: key, found: make(map[string]struct{})}
}

// add collects a name, or the beginning of one.
func (n *names) add(s []byte) {
	s = s[:n.length(s)]
	if _, ok := n.found[string(s)]; !ok && len(s) > 0 {
		n.found[string(s)] = struct{}{}
	}
}

// seal ends collecting.
func (n *names) seal() {
	n.all = slices.Sorted(maps.Keys(n.found))
	n.found, n.forks = nil, make(map[fork]*choice)
}

// length is how much of s is name: of an object's key, up to the third 00 00.
func (n *names) length(s []byte) int {
	if !n.key {
		return len(s)
	}
	for i, ends := 0, 0; i+1 < len(s); i++ {
		if s[i] != 0 {
			continue
		}
		if i++; s[i] == 0 {
			if ends++; ends == 3 {
				return i + 1
			}
		}
	}
	return len(s)
}

// apply scrambles s in place. What was not added is replaced by noise from where it
// differs.
func (n *names) apply(s []byte) {
	s = s[:n.length(s)]
	orig := string(s)
	w := escape{on: n.key}
	lo, hi, d := 0, len(n.all), 0
	for d < len(s) {
		stem := 0 // all[lo:hi] are equal up to here
		if lo < hi {
			stem = common(n.all[lo], n.all[hi-1])
		}
		var r *rand.ChaCha8
		if lo >= hi || d < stem {
			r = n.random(orig[:d], 0)
		}
		for ; d < len(s) && (lo >= hi || d < stem && orig[d] == n.all[lo][d]); d++ {
			if b := noise(r); !w.stays(s[d]) {
				s[d] = b
			}
		}
		if d < stem {
			lo = hi // not one of them
		}
		if d == len(s) || lo >= hi {
			continue
		}
		c := n.fork(fork{lo, hi, d}, w)
		i, ok := slices.BinarySearch(c.from, orig[d])
		if !ok {
			lo = hi
			continue
		}
		if i > 0 {
			lo = c.end[i-1]
		} else if len(n.all[lo]) == d {
			lo++
		}
		w.stays(s[d])
		hi, s[d] = c.end[i], c.to[i]
		d++
	}
}

// fork returns how the names of f go on.
func (n *names) fork(f fork, w escape) *choice {
	if c := n.forks[f]; c != nil {
		return c
	}
	c := &choice{}
	at := f.lo
	if len(n.all[at]) == f.depth {
		at++
	}
	for at < f.hi {
		b := n.all[at][f.depth]
		at += sort.Search(f.hi-at, func(i int) bool { return n.all[at+i][f.depth] > b })
		c.from, c.end = append(c.from, b), append(c.end, at)
	}
	c.to = n.choose(c.from, n.random(n.all[f.hi-1][:f.depth], 1), w)
	if f.hi-f.lo > keptForks {
		n.forks[f] = c
	}
	return c
}

// alphabets are what scrambled names are made of: the first that is large enough.
var alphabets = []string{
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	bytesFrom('!', '~'), bytesFrom(1, 127), bytesFrom(1, 255), bytesFrom(0, 255),
}

func bytesFrom(first, last int) string {
	p := make([]byte, 0, last-first+1)
	for b := first; b <= last; b++ {
		p = append(p, byte(b))
	}
	return string(p)
}

// choose returns as many bytes as from has, ascending.
func (n *names) choose(from []byte, r *rand.ChaCha8, w escape) []byte {
	if w.escaped {
		return from
	}
	if n.key && len(from) > 0 && from[0] == 0 {
		return append([]byte{0}, n.choose(from[1:], r, w)...)
	}
	a := alphabets[0]
	for _, more := range alphabets {
		if a = more; len(a) >= len(from) {
			break
		}
	}
	to := make([]byte, 0, len(from))
	for i, rnd := 0, rand.New(r); len(to) < len(from); i++ { // each subset is as likely
		if rnd.IntN(len(a)-i) < len(from)-len(to) {
			to = append(to, a[i])
		}
	}
	return to
}

// noise returns a byte of the first alphabet.
func noise(r *rand.ChaCha8) byte { return alphabets[0][r.Uint64()%uint64(len(alphabets[0]))] }

// random returns the source of what follows a beginning.
func (n *names) random(beginning string, what byte) *rand.ChaCha8 {
	h := sha256.New()
	h.Write(n.seed[:])
	h.Write([]byte{what})
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(beginning))))
	h.Write([]byte(beginning))
	return rand.NewChaCha8([32]byte(h.Sum(nil)))
}

// escape follows 00 and the byte behind it through an encoded key.
type escape struct{ on, escaped bool }

// stays reports whether b is not to be changed, and goes on to the next byte.
func (w *escape) stays(b byte) bool {
	switch {
	case !w.on:
		return false
	case w.escaped:
		w.escaped = false
		return true
	}
	w.escaped = b == 0
	return w.escaped
}

func common(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
