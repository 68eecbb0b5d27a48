//go:build planted

package planted

import "os"

var on = Bug(os.Getenv("EBOFS_PLANTED"))

// On reports whether a switch is on: the one EBOFS_PLANTED names.
func On(b Bug) bool { return b == on }
