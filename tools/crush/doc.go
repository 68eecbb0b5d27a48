// Package crush is the verb "crush": CRUSH maps in files, from one form into
// another, what they place where, and how two of them differ. Everything it knows
// about maps is cluster/crush's.
package crush
