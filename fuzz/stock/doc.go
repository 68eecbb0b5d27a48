// Package stock runs Ceph's own programs for tests: a real cluster of one monitor
// and one OSD, as the oracle, and clients, as they are packaged.
//
// Everything is below a directory of the test, on ports of loopback that were free
// when it began, as whoever runs the test: no namespace, no loop device, nothing of
// the machine's. What a test starts it ends, by its process.
package stock
