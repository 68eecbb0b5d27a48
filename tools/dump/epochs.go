package dump

import (
	"context"
	"slices"
	"strings"
	"time"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Epoch is a checkpoint that a superblock slot or the newest root record names.
type Epoch struct {
	Epoch      uint64     `json:"epoch"`
	Generation uint64     `json:"generation"`
	Slots      []string   `json:"slots"`
	Written    *time.Time `json:"written"`
	Clean      bool       `json:"clean"`
	Root       string     `json:"root"`
	Newest     bool       `json:"newest"`
	Kept       bool       `json:"kept"` // it can be read; so can the newest
	// Of what can be read.
	Objects uint64 `json:"objects"`
	Bytes   uint64 `json:"bytes"`
	Error   string `json:"error,omitempty"`
}

// ReadEpochs lists the newest checkpoint, those kept, newest first, and what else the
// superblock slots name.
func (m *Image) ReadEpochs(ctx context.Context) []Epoch {
	var out []Epoch
slots:
	for _, s := range m.ReadSlots() {
		if !s.OK {
			continue
		}
		for i := range out {
			if out[i].Generation == s.Generation {
				out[i].Slots = append(out[i].Slots, s.Name)
				continue slots
			}
		}
		out = append(out, Epoch{Epoch: s.Epoch, Generation: s.Generation, Slots: []string{s.Name}, Written: s.Written, Clean: s.Clean, Root: s.Root, Newest: s.Newest})
	}
	newest, err := m.Roots(ctx)
	for i := range out {
		if e := &out[i]; e.Newest {
			e.look(newest, err)
		}
	}
	for i := range newest.Record.Kept {
		k := &newest.Record.Kept[i]
		j := slices.IndexFunc(out, func(e Epoch) bool { return e.Root == k.Root.String() })
		if j < 0 {
			j = len(out)
			out = append(out, Epoch{Epoch: k.Epoch(), Generation: k.Generation, Slots: []string{}, Written: &k.Written, Root: k.Root.String()})
		}
		sb := m.Found.Super.At(k)
		roots, err := ebofs.ReadRoots(ctx, m.dev, &sb)
		out[j].Kept = true
		out[j].look(&roots, err)
	}
	slices.SortStableFunc(out, func(a, b Epoch) int { return int(b.rank()) - int(a.rank()) })
	return out
}

// rank orders epochs: the newest, those kept, the others; by generation.
func (e *Epoch) rank() uint64 {
	r := e.Generation
	if e.Newest || e.Kept {
		r += 1 << 40
	}
	return r
}

func (e *Epoch) look(r *ebofs.Roots, err error) {
	if err != nil {
		e.Error = err.Error()
	}
	e.Objects, e.Bytes = r.Record.Counters.Objects, r.Record.Counters.LogicalBytes
}

func showEpochs(ctx context.Context, c *verb.Call, m *Image) error {
	if m.Super.Role == layout.RoleLog {
		return verb.Usage("the device holds the log alone")
	}
	for _, e := range m.ReadEpochs(ctx) {
		c.Row(e)
		in, state := "", ""
		if len(e.Slots) > 0 {
			in = " in " + strings.Join(e.Slots, " and ")
		}
		if e.Clean {
			state = ", clean"
		}
		switch {
		case e.Newest:
			state += ", newest"
		case e.Kept:
			state += ", kept"
		}
		if e.Error != "" {
			state += ": " + e.Error
		} else if e.Newest || e.Kept {
			state += ": " + plural(e.Objects, "object") + " of " + sizes.Human(e.Bytes)
		}
		c.Printf("epoch %d, generation %d%s, root %s, written %s%s\n", e.Epoch, e.Generation, in, e.Root, e.Written.Format(time.RFC3339), state)
	}
	return nil
}
