package mutate

import (
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// mutationBytes is one mutation, maxMutations how many of an input count.
const (
	mutationBytes = 8
	maxMutations  = 12
)

// Bits of a mutation's how.
const (
	howSeal = 1 << 0
	howXor  = 1 << 3
)

// Change is a place as a mutation leaves it.
type Change struct {
	Start uint64 // block
	Data  []byte
}

// Of returns the store an input is about, and what it changes there.
func Of(input []byte) (*Store, []Change, error) {
	stores, err := Stores()
	if err != nil || len(input) == 0 {
		return nil, nil, err
	}
	s := stores[int(input[0])%len(stores)]
	m := mutator{s: s, now: make(map[int][]byte)}
	p := input[1:]
	for n := 0; len(p) >= mutationBytes && n < maxMutations; p, n = p[mutationBytes:], n+1 {
		if err := m.apply(p); err != nil {
			return nil, nil, err
		}
	}
	var list []Change
	for i := range s.all { // in their order
		if data, ok := m.now[i]; ok {
			list = append(list, Change{s.all[i].start, data})
		}
	}
	return s, list, nil
}

// Device returns the damaged store of an input, nil for an empty one.
func Device(input []byte) (*devices.Mem, *Store, error) {
	s, changes, err := Of(input)
	if s == nil || err != nil {
		return nil, nil, err
	}
	dev := s.Mem.Snapshot()
	for _, c := range changes {
		if err := write(dev, c.Start, c.Data); err != nil {
			return nil, nil, err
		}
	}
	return dev, s, nil
}

// Mutation encodes one, for seeds.
func Mutation(class, place byte, off uint16, how byte, val ...byte) []byte {
	var v [3]byte
	n := copy(v[:], val)
	return append([]byte{class, place, byte(off), byte(off >> 8), how | byte(n-1)<<1}, v[:]...)
}

// Seeds are inputs that touch every class, with and without right checksums.
func Seeds() ([][]byte, error) {
	stores, err := Stores()
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for i, s := range stores {
		list = append(list, []byte{byte(i)})
		for c := range s.classes {
			for k, off := range []uint16{10, 64, 72, 104, 200} {
				list = append(list, append(first(i, len(list)), Mutation(byte(c), byte(k), off, howSeal, 0xff, 0xff)...))
			}
			list = append(list, append(first(i, len(list)), Mutation(byte(c), 0, 100, howXor, 1)...))
		}
	}
	return list, nil
}

// first is the first byte of seed n: the store, and what else a target reads there.
func first(store, n int) []byte { return []byte{byte(store + 2*n)} }

// mutator holds the places that were changed.
type mutator struct {
	s   *Store
	now map[int][]byte
}

// at returns the content of a place, to be changed.
func (m *mutator) at(i int) ([]byte, error) {
	if p, ok := m.now[i]; ok {
		return p, nil
	}
	p, err := read(m.s.Mem, m.s.all[i].start, m.s.all[i].blocks)
	m.now[i] = p
	return p, err
}

func (m *mutator) apply(mut []byte) error {
	class := m.s.places[m.s.classes[int(mut[0])%len(m.s.classes)]]
	i := class[int(mut[1])%len(class)]
	p, err := m.at(i)
	if err != nil {
		return err
	}
	off, how := int(le.Uint16(mut[2:])), mut[4]
	n := [4]int{1, 2, 3, 1}[how>>1&3]
	for k, v := range mut[5 : 5+n] {
		b := &p[(off+k)%len(p)]
		if how&howXor != 0 {
			v ^= *b
		}
		*b = v
	}
	if how&howSeal == 0 {
		return nil
	}
	return m.seal(i, 0)
}

// seal makes the checksum of a place right, and the copies of it.
func (m *mutator) seal(i, depth int) error {
	pl := &m.s.all[i]
	if pl.sumAt == 0 || depth > 32 {
		return nil
	}
	p, err := m.at(i)
	if err != nil {
		return err
	}
	if pl.from == 0 {
		le.PutUint32(p[pl.sumAt:], 0)
	}
	sum := layout.CRC(p[pl.from:])
	le.PutUint32(p[pl.sumAt:], sum)
	for _, c := range pl.copies {
		q, err := m.at(c.place)
		if err != nil {
			return err
		}
		le.PutUint32(q[c.off:], sum)
		if err := m.seal(c.place, depth+1); err != nil {
			return err
		}
	}
	return nil
}
