package crush

import (
	"fmt"
	"testing"
)

// BenchmarkMap maps on the largest golden map (240 devices in 40 hosts in 5 racks)
// and on one of 1000 hosts of 24 devices.
func BenchmarkMap(b *testing.B) {
	_, golden := testMap(b, 21)
	m := bigMap(b)
	big, err := NewMapper(m)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		p      *Mapper
		in     []Weight
		rule   int
		copies int
	}{
		{"golden/3", golden, goldens(b)[21].decode(b).InUse(), 0, 3},
		{"big/replicated", big, m.InUse(), 0, 3},
		{"big/erasure", big, m.InUse(), 1, 6},
	} {
		b.Run(c.name, func(b *testing.B) {
			var w Work
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.p.Map(&w, Request{Rule: c.rule, X: uint32(i), Size: c.copies, Reweights: c.in})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mappings/s")
		})
	}
}

// bigMap returns a map of 40 racks of 25 hosts of 24 devices.
func bigMap(t testing.TB) *Map {
	t.Helper()
	text := []byte("tunable choose_local_tries 0\ntunable choose_local_fallback_tries 0\ntunable choose_total_tries 50\n" +
		"tunable chooseleaf_descend_once 1\ntunable chooseleaf_vary_r 1\ntunable chooseleaf_stable 1\ntunable straw_calc_version 1\ntunable allowed_bucket_algs 54\n")
	f := func(format string, args ...any) { text = fmt.Appendf(text, format, args...) }
	const racks, hosts, devices = 40, 25, 24
	for id := range racks * hosts * devices {
		f("device %d osd.%d\n", id, id)
	}
	f("type 0 osd\ntype 1 host\ntype 2 rack\ntype 3 root\n")
	const tail = "alg straw2\nhash 0\n"
	for h := range racks * hosts {
		f("host h%d {\n%s", h, tail)
		for d := range devices {
			f("item osd.%d weight %d.%d\n", h*devices+d, 1+d%2, d%10)
		}
		f("}\n")
	}
	for r := range racks {
		f("rack r%d {\n%s", r, tail)
		for h := range hosts {
			f("item h%d\n", r*hosts+h)
		}
		f("}\n")
	}
	f("root default {\n%s", tail)
	for r := range racks {
		f("item r%d\n", r)
	}
	f("}\nrule rep {\nid 0\ntype replicated\nmin_size 1\nmax_size 10\nstep take default\nstep chooseleaf firstn 0 type host\nstep emit\n}\n")
	f("rule ec {\nid 1\ntype erasure\nmin_size 1\nmax_size 20\nstep set_chooseleaf_tries 5\nstep set_choose_tries 100\nstep take default\nstep chooseleaf indep 0 type rack\nstep emit\n}\n")
	m, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
