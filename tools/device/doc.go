// Package device is the verb "device": the disks of this machine, what a device
// holds, and erasing it. Its decisions are package probe's.
package device
