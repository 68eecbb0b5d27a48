package devices

// RingAlways returns o for a file whose every read and write goes through the ring.
func (o FileOptions) RingAlways() FileOptions {
	o.ring = ringAlways
	return o
}

// RingNever returns o for a file that has no ring, as where the kernel refuses.
func (o FileOptions) RingNever() FileOptions {
	o.ring = ringNever
	return o
}
