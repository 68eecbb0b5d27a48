package daemon

import (
	"context"
	"fmt"

	"ebofs/osd"
)

// Summary is one line about the OSD, for people.
func (o *OSD) Summary() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.mu.failed != nil:
		return "failed: " + o.mu.failed.Error()
	case o.mu.m == nil:
		return "waits for the monitors"
	case !o.mu.up:
		return fmt.Sprintf("epoch %d, not up", o.mu.m.Epoch)
	}
	return fmt.Sprintf("up, epoch %d, %d PGs, %d sessions", o.mu.m.Epoch, len(o.mu.pgs), len(o.mu.sessions))
}

// Ready returns why the OSD does not serve.
func (o *OSD) Ready() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.mu.failed != nil:
		return o.mu.failed
	case o.mu.m == nil:
		return fmt.Errorf("osd.%d waits for the monitors", o.cfg.ID)
	case !o.mu.up:
		return fmt.Errorf("osd.%d is not up in epoch %d", o.cfg.ID, o.mu.m.Epoch)
	}
	return nil
}

// Touch commits a transaction that changes nothing anybody reads: who waits for it
// knows that commits get on.
func (o *OSD) Touch(ctx context.Context) error {
	var t osd.Transaction
	t.Touch(metaColl, metaObject)
	return osd.Apply(ctx, o.cfg.Store, &t)
}
