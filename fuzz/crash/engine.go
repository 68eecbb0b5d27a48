package crash

import (
	"context"

	"ebofs/devices"
	"ebofs/fuzz/engine"
)

// Engines are the shapes of the ebofs store that are explored, by name. All have
// the least log there is, on a device of 40 MiB of which ballast takes nearly all
// that is left for objects.
//
//	plain   stripes of 64 KiB, everything stays in RAM between checkpoints
//	tight   stripes of 16 KiB, two onodes in RAM, a checkpoint after every 256 KiB
//	        of journaled data: loads, evictions and checkpoints in every place
//	kept    as tight, and two epochs before the newest stay readable; small data goes
//	        straight to its place
//	raid    as tight, in whole stripes of a RAID-5, 5 × 64 KiB
//	flash   as tight, in whole units of flash, 16 KiB
var Engines = map[string]engine.Options{
	"plain": {LogBytes: 4 << 20},
	"tight": {LogBytes: 4 << 20, StripeBytes: 16 << 10, MaxOnodes: 2, DirtyBytes: 256 << 10},
	"kept":  {LogBytes: 4 << 20, StripeBytes: 16 << 10, MaxOnodes: 2, DirtyBytes: 256 << 10, KeepEpochs: 2, DirectFrom: 1, Warm: true},
	"raid":  engine.Options{LogBytes: 4 << 20, MaxOnodes: 2, DirtyBytes: 256 << 10}.OnRAID(),
	"flash": engine.Options{LogBytes: 4 << 20, MaxOnodes: 2, DirtyBytes: 256 << 10}.OnFlash(),
}

// Engine is the ebofs store in the shape of that name.
func Engine(name string) *Target {
	o := Engines[name]
	return &Target{
		DeviceBytes: 40 << 20,
		Format: func(ctx context.Context, dev devices.Device) error {
			return engine.Format(ctx, dev, o)
		},
		Open: func(ctx context.Context, dev devices.Device) (Store, error) {
			s, err := engine.Open(ctx, dev, o)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Check: engine.Check,
	}
}
