package crash

import "ebofs/osd"

// Setup returns the transactions that make the collections and objects the
// Alphabet names, for other tortures of the same workloads.
func Setup() []*osd.Transaction { return setup() }
