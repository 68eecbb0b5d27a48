package crash

import (
	"context"

	"ebofs/devices"
	"ebofs/osd"
)

// Store is a mounted store under test.
type Store interface {
	osd.ObjectStore
	// Checkpoint brings the durable form up to date.
	Checkpoint(ctx context.Context) error
}

// Target is a kind of store.
type Target struct {
	// Format makes an empty store on a device of zeros.
	Format func(ctx context.Context, dev devices.Device) error
	// Open mounts it. It must be deterministic: the same image and the same calls
	// lead to the same writes.
	Open func(ctx context.Context, dev devices.Device) (Store, error)
	// Check reports what is wrong on a device whose store is closed or, if crashed
	// is set, has not been opened since a crash; deep also reads all data. Nil:
	// nothing to ask.
	Check func(ctx context.Context, dev devices.Device, deep, crashed bool) error
	// Again, if set, is done to every store that came back and was worked with.
	Again func(ctx context.Context, s Store) error
	// DeviceBytes is the size of the device, small enough that the base all but
	// fills it.
	DeviceBytes uint64
	// Ballast is how many bytes of objects Base lays down so that little is left.
	// 0: as Statfs says, all but 1 to 2 MiB.
	Ballast uint64
}
