package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/osd"
)

// Check reports what fsck finds on a device whose store is not mounted; deep
// also reads all data. After a crash a superblock slot may be torn, which is no
// fault of a store that keeps four of them; anything else is.
func Check(ctx context.Context, dev devices.Device, deep, crashed bool) error {
	return CheckWith(ctx, dev, nil, deep, crashed)
}

// CheckWith is Check of a store whose log lies on a device of its own.
func CheckWith(ctx context.Context, dev, log devices.Device, deep, crashed bool) error {
	r, err := report(ctx, dev, log, deep)
	if err != nil {
		return err
	}
	if r.Counts.Kept > 0 && deep {
		if err := openKept(ctx, dev); err != nil {
			return err
		}
	}
	var lines []string
	for i := range r.Problems {
		if crashed && r.Problems[i].Code == check.SuperBad {
			continue
		}
		lines = append(lines, r.Problems[i].String())
	}
	switch {
	case len(lines) > 0:
		return fmt.Errorf("fsck: %d problems:\n  %s", len(lines), strings.Join(lines[:min(len(lines), 10)], "\n  "))
	case !r.Complete:
		return fmt.Errorf("fsck: not everything could be looked at")
	case !crashed && !r.Clean:
		return fmt.Errorf("fsck: a closed store is not marked clean")
	}
	return nil
}

// openKept opens every kept epoch and lists what is in it.
func openKept(ctx context.Context, dev devices.Device) error {
	f, err := ebofs.Find(ctx, dev)
	if err != nil {
		return err
	}
	roots, err := ebofs.ReadRoots(ctx, dev, &f.Super)
	for i := 0; err == nil && i < len(roots.Record.Kept); i++ {
		var s *Store
		if s, err = Open(ctx, dev, Options{ReadOnly: true, AtEpoch: roots.Record.Kept[i].Epoch()}); err != nil {
			break
		}
		var colls []osd.CollectionID
		colls, err = s.Collections(ctx)
		for _, c := range colls {
			_, _, e := s.List(ctx, c, nil, nil, 1<<20)
			err = errors.Join(err, e)
		}
		err = errors.Join(err, s.Close(ctx))
	}
	if err != nil {
		return fmt.Errorf("kept epochs: %w", err)
	}
	return nil
}

// Report is what fsck says of a device, in full.
func Report(ctx context.Context, dev devices.Device, deep bool) (*check.Report, error) {
	return report(ctx, dev, nil, deep)
}

func report(ctx context.Context, dev, log devices.Device, deep bool) (*check.Report, error) {
	o := check.Options{Level: check.Full, MemoryBytes: 1 << 20, Workers: 1, LogDevice: log}
	if deep {
		o.Level = check.Deep
	}
	r, err := check.Run(ctx, dev, o)
	if err != nil {
		return nil, fmt.Errorf("fsck: %w", err)
	}
	return r, nil
}
