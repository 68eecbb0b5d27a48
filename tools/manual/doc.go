// Package manual makes the manual pages: one per verb, ebofs(8) with the list
// of verbs, ebofs-codes(7) with every problem code. Its verb is "man". The
// pages are made from the verb table and tools/codes; nothing is kept twice.
package manual
