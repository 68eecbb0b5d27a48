package devices

import (
	"context"

	"golang.org/x/time/rate"
)

// Throttle is a Device that reads at most so many bytes a second, for work that
// must leave the device to others. Everything else goes through at once.
type Throttle struct {
	Device
	limit *rate.Limiter
}

// throttleBurst is what may be read at once after a pause: a run of data and the
// nodes that name it.
const throttleBurst = 1 << 20

// NewThrottle returns dev with its reads limited to bytesPerSecond, which is
// above zero. Close closes dev.
func NewThrottle(dev Device, bytesPerSecond int64) *Throttle {
	return &Throttle{dev, rate.NewLimiter(rate.Limit(bytesPerSecond), throttleBurst)}
}

// Read waits until it may read so much, or ctx ends.
func (t *Throttle) Read(ctx context.Context, b Block, v Vec) error {
	for n := VecBytes(v); n > 0; n -= throttleBurst {
		if t.limit.WaitN(ctx, min(n, throttleBurst)) != nil {
			<-ctx.Done() // or it would come too late
			return ctx.Err()
		}
	}
	return t.Device.Read(ctx, b, v)
}
