// Package quorumtest is the suite every quorum.Store passes: the engine and its
// twin in RAM alike.
//
// Nothing is locked, started or stored beyond the stores a test asks for.
package quorumtest
