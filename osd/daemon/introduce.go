package daemon

import (
	"context"
	"fmt"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

// introduce tells the monitors of an OSD that is new or has moved. One that the map
// knows is told nothing: each of these commands makes another map, and clients that
// wait for the one with this OSD in it would ask for the next in vain.
func (o *OSD) introduce(ctx context.Context) error {
	m, err := o.waitMap(ctx)
	if err != nil {
		return err
	}
	st, err := o.cfg.Store.Statfs(ctx)
	if err != nil {
		return err
	}
	var steps []map[string]any
	if !m.Exists(o.cfg.ID) || m.UUIDs[o.cfg.ID] != o.id.UUID {
		steps = append(steps, map[string]any{"prefix": "osd new", "uuid": o.id.UUID.String(), "id": o.cfg.ID})
	}
	host, class, err := crushPlace(m, o.cfg.ID)
	if err != nil {
		return err
	}
	if host != o.cfg.Host && !o.cfg.Stay {
		weight := max(0.0001, float64(st.TotalBytes)/(1<<40))
		steps = append(steps, map[string]any{"prefix": "osd crush create-or-move", "id": o.cfg.ID, "weight": weight, "args": []string{"host=" + o.cfg.Host, "root=" + o.cfg.Root}})
	}
	if o.cfg.Class != "" && class != o.cfg.Class {
		steps = append(steps, map[string]any{"prefix": "osd crush set-device-class", "class": o.cfg.Class, "ids": []string{fmt.Sprint(o.cfg.ID)}})
	}
	for _, s := range steps {
		a, err := o.mon.Command(ctx, s)
		if err != nil {
			return err
		}
		if a.Result < 0 && ceph.Errno(a.Result) != ceph.EBUSY {
			return fmt.Errorf("osd.%d: monitor refuses %q: %s: %w", o.cfg.ID, s["prefix"], a.Text, ceph.Errno(a.Result))
		}
	}
	return nil
}

// crushPlace returns the bucket that an OSD is in, and its device class; "" is
// none.
func crushPlace(m *osdmap.Map, id int32) (bucket, class string, err error) {
	c, err := crush.Decode(m.Crush)
	if err != nil {
		return "", "", fmt.Errorf("osd map %d: %w", m.Epoch, err)
	}
	for _, b := range c.Buckets {
		if b != nil && !c.IsShadow(b.ID) && slices.Contains(b.Items, id) {
			bucket = c.Names[b.ID]
		}
	}
	if n, ok := c.Classes[id]; ok {
		class = c.ClassNames[n]
	}
	return bucket, class, nil
}

// waitMap waits for the first map.
func (o *OSD) waitMap(ctx context.Context) (*osdmap.Map, error) {
	for {
		o.mu.Lock()
		m, failed, changed := o.mu.m, o.mu.failed, o.mu.changed
		o.mu.Unlock()
		switch {
		case failed != nil:
			return nil, failed
		case m != nil:
			return m, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("osd.%d: no osd map comes: %w", o.cfg.ID, ctx.Err())
		}
	}
}
