package devicetest_test

import (
	"context"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/devices/devicetest"
)

// able is a device with all abilities: what an asynchronous back end looks
// like to the suite.
type able struct{ *crashdev.Device }

func (d able) WriteDurable(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.Write(ctx, b, v); err != nil {
		return err
	}
	return d.Flush(ctx)
}

func (d able) Submit(ctx context.Context, rs []devices.Request) {
	for _, r := range rs {
		go func() {
			if r.Write {
				r.Done(d.Write(ctx, r.B, r.V))
			} else {
				r.Done(d.Read(ctx, r.B, r.V))
			}
		}()
	}
}

func TestAbilities(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return able{crashdev.New(devices.NewMem(devices.MemOptions{Blocks: blocks}))}
		},
		Crash: func(t *testing.T, d devices.Device) (states []devices.Device) {
			for s := range d.(able).States(d.(able).Now(), crashdev.Policy{}) {
				states = append(states, s)
			}
			return states
		},
	})
}
