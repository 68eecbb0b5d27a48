package crashdev

import (
	"testing"

	"ebofs/devices"
	"ebofs/devices/devicetest"
)

func TestDevice(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return New(devices.NewMem(devices.MemOptions{Blocks: blocks}))
		},
		Reopen: func(t *testing.T, d devices.Device) devices.Device { return New(d.(*Device).Snapshot()) },
		Crash: func(t *testing.T, d devices.Device) (states []devices.Device) {
			for s := range d.(*Device).States(d.(*Device).Now(), Policy{}) {
				states = append(states, s)
			}
			for seed := range uint64(20) {
				states = append(states, d.(*Device).Clone(seed))
			}
			return states
		},
	})
}
