package probe

import (
	"context"
	"fmt"
	"strings"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
)

// Geometry is how a device wants to be written, as a store would take it, and where
// that comes from. Sizes are in bytes.
type Geometry struct {
	Stripe   uint32   `json:"stripe_bytes"`
	Unit     uint32   `json:"unit_bytes"`
	Align    uint64   `json:"align_bytes"`
	Hard     bool     `json:"hard"`
	From     string   `json:"from"`
	Reported []string `json:"reported"` // by the kernel, in words
	Notes    []string `json:"notes"`
	Store    string   `json:"store,omitempty"` // stripes of the store on it, if they are others
}

// LookGeometry finds out the geometry of the device or image file at p. It neither
// locks nor writes.
func LookGeometry(p string) (*Geometry, error) {
	f, err := devices.OpenFile(p, devices.FileOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	g := f.Geometry()
	r := &Geometry{Stripe: g.StripeBytes, Unit: g.UnitBytes, Align: g.AlignBytes, Hard: g.Hard, From: f.GeometryFrom(), Reported: f.Reported(), Notes: f.Notes()}
	if found, err := ebofs.Find(context.Background(), f); err == nil && found.Super.Role == layout.RoleMain {
		s := found.Super
		if kept := Stripe(uint64(s.StripeBytes), uint64(s.UnitBytes), s.AlignBytes, s.Hard()); kept != r.shape() {
			r.Store = kept
		}
		if w := ebofs.GeometryChanged(g, &found.Super); w != "" {
			r.Notes = append(r.Notes, w)
		}
	}
	if r.Reported == nil {
		r.Reported = []string{}
	}
	if r.Notes == nil {
		r.Notes = []string{}
	}
	return r, nil
}

// String returns the geometry in one line.
func (g *Geometry) String() string {
	from := g.From
	if from == "default" {
		from = "the default"
	}
	text := fmt.Sprintf("stripe %s, from %s", g.shape(), from)
	if g.Store != "" {
		text += "; the store's: " + g.Store
	}
	return text
}

func (g *Geometry) shape() string {
	return Stripe(uint64(g.Stripe), uint64(g.Unit), g.Align, g.Hard)
}

// Stripe prints a stripe: "320 KiB hard, unit 64 KiB, aligned at 72 KiB".
func Stripe(stripe, unit, align uint64, hard bool) string {
	s := []string{sizes.Short(stripe) + " soft"}
	if hard {
		s[0] = sizes.Short(stripe) + " hard"
	}
	if hard || unit > layout.BlockSize {
		s = append(s, "unit "+sizes.Short(unit))
	}
	if align > 0 {
		s = append(s, "aligned at "+sizes.Short(align))
	}
	return strings.Join(s, ", ")
}
