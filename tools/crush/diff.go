package crush

import (
	"bytes"
	"context"
	"slices"

	"ebofs/cluster/crush"
	"ebofs/tools/verb"
)

// change is what one rule moves.
type change struct {
	Rule       int    `json:"rule"`
	Name       string `json:"rule_name"`
	NumRep     int    `json:"num_rep"`
	Placements int64  `json:"placements"`
	Changed    int64  `json:"changed"`
	Devices    int64  `json:"devices"` // positions of the old placements that are filled
	Moved      int64  `json:"moved"`   // whose data goes to another device
}

// diff maps every input with both maps. What moves is counted as the data does:
// copies of replicated pools have no order, shards of others have.
func diff(ctx context.Context, c *verb.Call, in inputs) error {
	if err := in.check(); err != nil {
		return err
	}
	var maps [2]*crush.Map
	var sides [2]*placer
	var encoded [2][]byte
	for i, path := range c.Args {
		m, err := read(c, path)
		if err != nil {
			return err
		}
		if sides[i], err = in.placer(path, m); err != nil {
			return err
		}
		if encoded[i], err = m.Encode(); err != nil {
			return invalid(path, err)
		}
		maps[i] = m
	}
	same := bytes.Equal(encoded[0], encoded[1])
	c.Set(map[string]bool{"equal": same})
	if same {
		c.Printf("the maps are equal\n")
		return nil
	}
	runs, err := in.runs(maps[0])
	if err != nil {
		return err
	}
	for i, r := range runs {
		d := change{Rule: r.rule, Name: r.name, NumRep: r.copies}
		if maps[1].Rule(r.rule) == nil {
			if i == 0 || runs[i-1].rule != r.rule {
				c.Notef("%s has no rule %d (%s)", c.Args[1], r.rule, r.name)
			}
			continue
		}
		err := in.each(ctx, func(x int64) error {
			a := sides[0].p.Map(&sides[0].work, sides[0].request(r.rule, r.copies, x))
			b := sides[1].p.Map(&sides[1].work, sides[1].request(r.rule, r.copies, x))
			d.Placements++
			if !slices.Equal(a.Devices, b.Devices) {
				d.Changed++
			}
			filled, moved := moves(a.Devices, b.Devices, r.typ == crush.Erasure)
			d.Devices += filled
			d.Moved += moved
			return nil
		})
		if err != nil {
			return err
		}
		c.Printf("rule %d (%s) num_rep %d: %d of %d placements change, %d of %d devices move (%.1f %%)\n",
			r.rule, r.name, r.copies, d.Changed, d.Placements, d.Moved, d.Devices, percent(d.Moved, d.Devices))
		c.Row(d)
	}
	return nil
}

// moves returns how many positions of old are filled and how many of those are not
// where they were.
func moves(old, now []int32, ordered bool) (filled, moved int64) {
	for i, d := range old {
		if d == crush.None {
			continue
		}
		filled++
		if ordered && (i >= len(now) || now[i] != d) || !ordered && !slices.Contains(now, d) {
			moved++
		}
	}
	return filled, moved
}

func percent(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
