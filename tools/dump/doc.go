// Package dump shows what is on a store's device: the verb "dump". It reads the
// newest checkpoint, whatever state the store is in, applies no log and writes
// nothing.
//
// Each action has a function that returns plain structs with JSON tags, and a
// rendering of them for a person. Damage ends nothing that can go on: it is shown
// where it was met.
package dump
