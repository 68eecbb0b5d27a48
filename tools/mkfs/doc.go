// Package mkfs makes a store on a disk, partition or image: the verb "mkfs",
// also called mkfs.ebofs.
//
// Order of events: everything that can refuse (tools/probe, the plan) comes
// before the first write; then old signatures are zeroed, then the device is
// discarded, then ebofs.Format writes, the label last. Killed at any point it
// leaves the old signatures or no store.
package mkfs
