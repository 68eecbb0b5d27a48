// Package devices is what the engine knows of disks: arrays of 4 KiB blocks
// with one durability barrier.
package devices
