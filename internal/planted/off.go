//go:build !planted

package planted

// On reports whether a switch is on: never in this build.
func On(Bug) bool { return false }
