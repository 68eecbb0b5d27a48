package crush

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/cluster/crush"
	"ebofs/tools/verb"
)

// inputs says what is mapped.
type inputs struct {
	rule, numRep int
	minX, maxX   int64
	x            int64
	pool, args   int64
	weights      []string
}

func (in *inputs) register(fs *pflag.FlagSet) {
	fs.IntVar(&in.rule, "rule", -1, "map by rule `ID` only; otherwise by each")
	fs.IntVar(&in.numRep, "num-rep", 0, "place `N` copies; otherwise each number the rule is for")
	fs.Int64Var(&in.minX, "min-x", 0, "first input")
	fs.Int64Var(&in.maxX, "max-x", 1023, "last input")
	fs.Int64Var(&in.x, "x", -1, "map `X` only")
	fs.Int64Var(&in.pool, "pool-id", -1, "mix pool `ID` into each input, as a cluster does")
	fs.Int64Var(&in.args, "choose-args", 0, "use the weight set `ID`, or the default one if there is no such")
	fs.StringSliceVarP(&in.weights, "weight", "w", nil, "`DEVICE=WEIGHT`: how much of a device is in, from 0 to 1")
}

// maxCopies bounds --num-rep: no pool is larger.
const maxCopies = 255

// maxDevices bounds what a device of --weight may be.
const maxDevices = 1 << 20

func (in *inputs) check() error {
	if in.x >= 0 {
		in.minX, in.maxX = in.x, in.x
	}
	switch {
	case in.minX < 0 || in.maxX > math.MaxUint32 || in.minX > in.maxX:
		return verb.Usage(fmt.Sprintf("inputs from %d to %d: they are from 0 to %d, the first not behind the last", in.minX, in.maxX, uint32(math.MaxUint32)))
	case in.numRep < 0 || in.numRep > maxCopies:
		return verb.Usage(fmt.Sprintf("--num-rep %d: it is from 1 to %d", in.numRep, maxCopies))
	}
	return nil
}

// reweights returns those of a map by itself with the changes of --weight.
func (in *inputs) reweights(m *crush.Map) ([]crush.Weight, error) {
	w := m.InUse()
	for _, s := range in.weights {
		d, v, ok := strings.Cut(s, "=")
		id, err1 := strconv.ParseUint(d, 10, 31)
		f, err2 := strconv.ParseFloat(v, 64)
		if !ok || err1 != nil || err2 != nil || !(f >= 0 && f <= 1) || id >= maxDevices {
			return nil, verb.Usage(fmt.Sprintf("--weight %q: it is a device and a number from 0 to 1, as 3=0.5", s))
		}
		if int(id) < len(w) {
			w[id] = crush.Weight(f * float64(crush.One))
		}
	}
	return w, nil
}

// placer maps with one map.
type placer struct {
	in   *inputs
	m    *crush.Map
	p    *crush.Mapper
	req  crush.Request
	work crush.Work
}

func (in *inputs) placer(path string, m *crush.Map) (*placer, error) {
	p, err := crush.NewMapper(m)
	if err != nil {
		return nil, invalid(path, err)
	}
	w, err := in.reweights(m)
	if err != nil {
		return nil, err
	}
	return &placer{in: in, m: m, p: p, req: crush.Request{Reweights: w, Args: p.Args(in.args)}}, nil
}

// request returns what to map for the input x.
func (p *placer) request(rule, copies int, x int64) crush.Request {
	req := p.req
	req.Rule, req.Size, req.X = rule, copies, uint32(x)
	if p.in.pool >= 0 {
		req.X = crush.Hash2(req.X, uint32(p.in.pool))
	}
	return req
}

// run is a rule with a number of copies.
type run struct {
	rule   int
	name   string
	typ    crush.RuleType
	copies int
}

// runs returns what a map is tested with.
func (in *inputs) runs(m *crush.Map) ([]run, error) {
	var runs []run
	for id := range m.Rules {
		r := m.Rule(id)
		if r == nil || in.rule >= 0 && id != in.rule {
			continue
		}
		first, last := int(r.MinSize), int(r.MaxSize)
		if in.numRep > 0 {
			first, last = in.numRep, in.numRep
		}
		for n := first; n <= last; n++ {
			runs = append(runs, run{id, m.RuleNames[int32(id)], r.Type, n})
		}
	}
	if len(runs) == 0 && in.rule >= 0 {
		return nil, &verb.Failure{Code: "E-NOT-FOUND", Message: fmt.Sprintf("the map has no rule %d", in.rule)}
	}
	return runs, nil
}

// each calls f for every input until it fails or the verb is interrupted.
func (in *inputs) each(ctx context.Context, f func(x int64) error) error {
	for x := in.minX; x <= in.maxX; x++ {
		if x%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}
