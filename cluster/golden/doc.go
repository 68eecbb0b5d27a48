// Package golden reads the sessions in cluster/testdata/wire for the tests of
// the packages that speak them. It is used by tests only.
//
// Nouns: a Line is a frame that one side of a captured connection sent, with
// its bytes and what a parser of its own made of them. A line of a long frame
// has its first bytes only.
//
// Nothing is locked, started or stored.
package golden
