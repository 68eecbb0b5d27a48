package faultdev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"ebofs/devices"
)

// ErrInjected is wrapped by every error that comes from a rule.
var ErrInjected = errors.New("injected fault")

// Options of a Device. The zero value works.
type Options struct {
	// Seed decides probabilities and flipped bits.
	Seed uint64
	// Delay is what "slow" means, such as advancing a simulated clock; nil does
	// nothing.
	Delay func(ctx context.Context, op devices.Op)
}

// Device wraps another and fails by rules. It implements devices.Device,
// Discarder and Zeroer; the latter two fail where the wrapped device has none.
type Device struct {
	base  devices.Device
	g     devices.Geometry
	delay func(ctx context.Context, op devices.Op)

	mu      sync.Mutex
	rand    *rand.Rand
	rules   []*armed
	total   Counts
	sites   map[string]*Counts
	before  map[devices.Block][]byte // content before the last write, for Stale
	failed  error                    // injected failure of Flush
	release chan struct{}            // closed by Release
}

// armed is a rule with its counters.
type armed struct {
	Rule
	matched uint64
	hits    uint64
}

// Count is how many I/Os there were and how many blocks they covered.
type Count struct{ N, Blocks uint64 }

// Counts are the counts of each operation, indexed by devices.Op.
type Counts [devices.NumOps]Count

// All returns the number of I/Os of all kinds.
func (c *Counts) All() (n uint64) {
	for _, x := range c {
		n += x.N
	}
	return n
}

// New wraps base. Without rules it changes nothing.
func New(base devices.Device, o Options) *Device {
	return &Device{
		base: base, g: base.Geometry(), delay: o.Delay,
		rand:    rand.New(rand.NewPCG(o.Seed, 0)),
		sites:   map[string]*Counts{},
		before:  map[devices.Block][]byte{},
		release: make(chan struct{}),
	}
}

// Script adds the rules of a script.
func (d *Device) Script(text string) error {
	rules, err := Parse(text)
	if err != nil {
		return err
	}
	return d.Add(rules...)
}

// Add adds rules, or none of them if one is invalid. Their counts start now.
func (d *Device) Add(rules ...Rule) error {
	for _, r := range rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("%v: %w", r, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range rules {
		d.rules = append(d.rules, &armed{Rule: r})
	}
	return nil
}

// Clear removes all rules; the medium keeps what they did to it, and a failed
// flush stays failed.
func (d *Device) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = nil
}

// Unhit returns the rules that changed no I/O so far: a test that ends with
// one has not tested what it says.
func (d *Device) Unhit() (rules []Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.rules {
		if r.hits == 0 {
			rules = append(rules, r.Rule)
		}
	}
	return rules
}

// Hits returns how many I/Os rules changed.
func (d *Device) Hits() (n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.rules {
		n += r.hits
	}
	return n
}

// Counts returns the number of I/Os so far, failed ones included.
func (d *Device) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

// Sites returns the counts by label; those without one are under "".
func (d *Device) Sites() map[string]Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := make(map[string]Counts, len(d.sites))
	for s, c := range d.sites {
		m[s] = *c
	}
	return m
}

// Release lets everything that hangs go on, and nothing hang any more.
func (d *Device) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.release:
	default:
		close(d.release)
	}
}

// Geometry returns that of the wrapped device.
func (d *Device) Geometry() devices.Geometry { return d.g }

// Close closes the wrapped device.
func (d *Device) Close() error { return d.base.Close() }

// fire counts an I/O and returns the rule that changes it, or nil, and random
// bits for it.
func (d *Device) fire(ctx context.Context, op devices.Op, b devices.Block, n uint64) (hit *Rule, random uint64) {
	site := devices.Site(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total[op].add(n)
	if d.sites[site] == nil {
		d.sites[site] = new(Counts)
	}
	d.sites[site][op].add(n)
	if d.failed != nil && op != devices.OpRead {
		return nil, 0 // refused anyway
	}
	for _, r := range d.rules {
		if !r.matches(op, b, n, site) || r.Kind == Stale && !d.hasBeforeLocked(r, b, n) {
			continue
		}
		r.matched++
		if hit != nil || r.matched < r.Nth || !r.Always && r.hits > 0 {
			continue
		}
		if r.P > 0 && d.rand.Float64() >= r.P {
			continue
		}
		r.hits++
		hit, random = &r.Rule, d.rand.Uint64()
	}
	return hit, random
}

func (c *Count) add(blocks uint64) {
	c.N++
	c.Blocks += blocks
}

// matches tells whether the conditions on the I/O itself hold.
func (r *Rule) matches(op devices.Op, b devices.Block, n uint64, site string) bool {
	if !r.Ops.has(op) || r.Site != "" && r.Site != site {
		return false
	}
	return r.N == 0 || n > 0 && overlaps(r.B, r.N, b, n)
}

func overlaps(a devices.Block, an uint64, b devices.Block, bn uint64) bool {
	return uint64(a) < uint64(b)+bn && uint64(b) < uint64(a)+an
}
