// Package etcd is a quorum.Store on etcd: a member of the engine inside this
// process, or an etcd cluster that somebody else runs. It is the only package that
// knows the consensus engine.
//
// Nouns. Embed starts a member and returns its Store, Dial returns one of a cluster
// that runs. Keys of ours lie under one prefix, values are sealed (quorum.Seal).
//
// The engine's goroutines are its own; Close ends a member that Embed started. Its
// client side listens on a socket in the member's directory only.
package etcd
