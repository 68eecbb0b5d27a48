//go:build !race

package mutate

// raceEnabled: the detector multiplies every time.
const raceEnabled = false
