package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

// places is the CRUSH tree as people see it: without the shadows of classes.
type places struct {
	m       *crush.Map
	dump    *crush.Dump
	buckets map[int32]*crush.DumpBucket
	parent  map[int32]*crush.DumpBucket
	class   map[int32]string
	weight  map[int32]crush.Weight // of items in their bucket
}

func newPlaces(m *osdmap.Map) (*places, error) { return readPlaces(m, false) }

// allPlaces is the tree with the shadows of classes.
func allPlaces(m *osdmap.Map) (*places, error) { return readPlaces(m, true) }

func readPlaces(m *osdmap.Map, shadows bool) (*places, error) {
	cm, err := crush.Decode(m.Crush)
	if err != nil {
		return nil, err
	}
	d, err := cm.Dump()
	if err != nil {
		return nil, err
	}
	p := &places{m: cm, dump: d, buckets: map[int32]*crush.DumpBucket{}, parent: map[int32]*crush.DumpBucket{}, class: map[int32]string{}, weight: map[int32]crush.Weight{}}
	for i := range d.Buckets {
		b := &d.Buckets[i]
		_, class, shadow := strings.Cut(b.Name, "~")
		if shadow && !shadows {
			continue
		}
		if shadow {
			p.class[b.ID] = class
		}
		p.buckets[b.ID] = b
		for _, it := range b.Items {
			p.parent[it.ID], p.weight[it.ID] = b, it.Weight
		}
	}
	for _, dev := range d.Devices {
		p.class[dev.ID] = dev.Class
	}
	return p, nil
}

// name of a bucket or device.
func (p *places) name(id int32) string {
	if b := p.buckets[id]; b != nil {
		return b.Name
	}
	return fmt.Sprintf("osd.%d", id)
}

// find returns a bucket or device by its name.
func (p *places) find(name string) (int32, bool) {
	for id, n := range p.m.Names {
		if n == name {
			return id, true
		}
	}
	return 0, false
}

// roots are the buckets that lie in none, the oldest first.
func (p *places) roots() (list []int32) {
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(p.buckets))) {
		if p.parent[id] == nil {
			list = append(list, id)
		}
	}
	return list
}

// devices are those below a bucket, or the device itself, in the order of the tree.
func (p *places) devices(id int32) (list []int32) {
	if id >= 0 {
		return []int32{id}
	}
	if b := p.buckets[id]; b != nil {
		for _, it := range b.Items {
			list = append(list, p.devices(it.ID)...)
		}
	}
	return list
}

// location is where a device lies, type by type.
func (p *places) location(id int32) map[string]string {
	out := map[string]string{}
	for b := p.parent[id]; b != nil; b = p.parent[b.ID] {
		out[b.TypeName] = b.Name
	}
	return out
}

// wholly returns, by type, the largest buckets that have devices and whose devices
// are all in set, as a health check says it.
func (p *places) wholly(set map[int32]bool) map[string][]string {
	all := map[int32]bool{}
	for id := range p.buckets {
		devices := p.devices(id)
		all[id] = len(devices) > 0 && !slices.ContainsFunc(devices, func(d int32) bool { return !set[d] })
	}
	out := map[string][]string{}
	for _, id := range slices.Sorted(maps.Keys(p.buckets)) {
		if b := p.buckets[id]; all[id] && b.TypeName != "osd" {
			where := p.where(id)
			if where != "" {
				where = " (" + where + ")"
			}
			out[b.TypeName] = append(out[b.TypeName], fmt.Sprintf("%s %s%s (%d osds) is down", b.TypeName, b.Name, where, len(p.devices(id))))
		}
	}
	return out
}
