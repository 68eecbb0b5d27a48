package fsck

import (
	"context"
	"errors"

	"ebofs/devices"
	"ebofs/ebofs"
)

// replayBytes bounds what a replayed log may take in RAM.
const replayBytes = 512 << 20

// replay returns what shows a store as its next mount will make it: it mounts
// and closes the store over devices whose writes stay in RAM.
func replay(dev, log devices.Device) func(context.Context) (devices.Device, error) {
	return func(ctx context.Context) (devices.Device, error) {
		main := devices.NewOverlay(dev, replayBytes)
		o := ebofs.Options{Inline: true, ReplayImage: true}
		if log != nil {
			o.LogDevice = devices.NewOverlay(log, replayBytes)
		}
		s, err := ebofs.Open(ctx, main, o)
		if err != nil {
			return nil, errors.Join(err, main.Close())
		}
		if err := s.Close(ctx); err != nil {
			return nil, errors.Join(err, main.Close())
		}
		return main, nil
	}
}
