package crash

import (
	"context"

	"ebofs/devices"
	"ebofs/fuzz/engine"
)

// Engine is the ebofs store on a device of 40 MiB: the least log, stripes of 64
// KiB, and about 20 MiB for objects, nearly all of it ballast.
func Engine() *Target {
	o := engine.Options{LogBytes: 4 << 20}
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
