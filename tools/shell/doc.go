// Package shell prints completion scripts for bash, zsh and fish, made from
// the verb table. Its verb is "completion".
package shell
