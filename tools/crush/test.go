package crush

import (
	"context"
	"errors"
	"fmt"

	"ebofs/cluster/crush"
	"ebofs/tools/verb"
)

type testOptions struct {
	inputs                                 inputs
	mappings, bad, statistics, utilization bool
	containing                             int32
}

// result is one run in JSON.
type result struct {
	Rule   int    `json:"rule"`
	Name   string `json:"rule_name"`
	NumRep int    `json:"num_rep"`
	Inputs int64  `json:"inputs"`
	// Sizes says how many placements have how many positions.
	Sizes []sizeCount `json:"sizes"`
	// Short placements lack devices; cut ones among them were given up at the bound.
	Short      int64       `json:"short"`
	Cut        int64       `json:"cut"`
	Impossible int64       `json:"impossible"` // cannot contain the device asked for
	Mappings   []mapping   `json:"mappings,omitempty"`
	Devices    []deviceUse `json:"devices,omitempty"`
}

type sizeCount struct {
	Size  int   `json:"size"`
	Count int64 `json:"count"`
}

type mapping struct {
	X       int64   `json:"x"`
	Devices []int32 `json:"devices"`
	Short   bool    `json:"short"`
}

type deviceUse struct {
	Device   int32   `json:"device"`
	Stored   int64   `json:"stored"`
	Expected float64 `json:"expected"`
}

func test(ctx context.Context, c *verb.Call, o testOptions) error {
	if err := o.inputs.check(); err != nil {
		return err
	}
	m, err := read(c, c.Args[0])
	if err != nil {
		return err
	}
	p, err := o.inputs.placer(c.Args[0], m)
	if err != nil {
		return err
	}
	runs, err := o.inputs.runs(m)
	if err != nil {
		return err
	}
	if !o.mappings && !o.bad && !o.statistics && !o.utilization {
		o.statistics = true
	}
	for i, r := range runs {
		if (o.statistics || o.utilization) && (i == 0 || runs[i-1].rule != r.rule) {
			last := r.copies
			for _, s := range runs[i:] {
				if s.rule == r.rule {
					last = s.copies
				}
			}
			c.Printf("rule %d (%s), x = %d..%d, numrep = %d..%d\n", r.rule, r.name, o.inputs.minX, o.inputs.maxX, r.copies, last)
		}
		if err := o.one(ctx, c, p, r); err != nil {
			return err
		}
	}
	return nil
}

// one maps every input by one rule. The plain lines are those of crushtool.
func (o *testOptions) one(ctx context.Context, c *verb.Call, p *placer, r run) error {
	out := result{Rule: r.rule, Name: r.name, NumRep: r.copies, Sizes: []sizeCount{}}
	sizes, stored := map[int]int64{}, map[int32]int64{}
	err := o.inputs.each(ctx, func(x int64) error {
		got, err := o.place(p, p.request(r.rule, r.copies, x))
		if errors.Is(err, crush.ErrImpossible) {
			out.Impossible++
		} else if err != nil {
			return err
		}
		out.Inputs++
		sizes[len(got.Devices)]++
		for _, d := range got.Devices {
			if d != crush.None {
				stored[d]++
			}
		}
		if got.Short {
			out.Short++
		}
		if got.Cut {
			out.Cut++
		}
		o.show(c, &out, r, x, got)
		return nil
	})
	if err != nil {
		return err
	}
	for n := range r.copies + 1 {
		if count := sizes[n]; count > 0 {
			out.Sizes = append(out.Sizes, sizeCount{n, count})
			if o.statistics || o.utilization {
				c.Printf("rule %d (%s) num_rep %d result size == %d:\t%d/%d\n", r.rule, r.name, r.copies, n, count, out.Inputs)
			}
		}
	}
	if out.Cut > 0 {
		c.Notef("rule %d num_rep %d: %d placements were given up after %d draws", r.rule, r.copies, out.Cut, crush.MaxDraws)
	}
	if out.Impossible > 0 {
		c.Notef("rule %d num_rep %d: %d placements cannot contain device %d", r.rule, r.copies, out.Impossible, o.containing)
	}
	if o.utilization {
		o.use(c, &out, p.req.Reweights, stored)
	}
	c.Row(out)
	return nil
}

func (o *testOptions) place(p *placer, req crush.Request) (crush.Result, error) {
	if o.containing >= 0 {
		return p.p.MapWith(&p.work, req, o.containing)
	}
	return p.p.Map(&p.work, req), nil
}

func (o *testOptions) show(c *verb.Call, out *result, r run, x int64, got crush.Result) {
	if !o.mappings && !(o.bad && got.Short) {
		return
	}
	if !c.Plain() {
		out.Mappings = append(out.Mappings, mapping{x, append([]int32{}, got.Devices...), got.Short})
		return
	}
	var line []byte
	if o.mappings {
		line = fmt.Appendf(line, "CRUSH rule %d x %d ", r.rule, x)
		line = append(crush.AppendDevices(line, got.Devices), '\n')
	}
	if o.bad && got.Short {
		line = fmt.Appendf(line, "bad mapping rule %d x %d num_rep %d result ", r.rule, x, r.copies)
		line = append(crush.AppendDevices(line, got.Devices), '\n')
	}
	_, _ = c.Write(line) // Call keeps the error
}

// use prints how often devices were chosen, and how often they would be if that
// went by how much of them is in alone.
func (o *testOptions) use(c *verb.Call, out *result, reweights []crush.Weight, stored map[int32]int64) {
	var total float64
	for _, w := range reweights {
		total += float64(w)
	}
	for id, w := range reweights {
		n := stored[int32(id)]
		if n == 0 {
			continue
		}
		u := deviceUse{int32(id), n, float64(w) / total * float64(out.Inputs) * float64(out.NumRep)}
		out.Devices = append(out.Devices, u)
		c.Printf("  device %d:\t\t stored : %d\t expected : %.6g\n", id, n, u.Expected)
	}
}
