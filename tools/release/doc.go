// Package release says what this program is: its version and commit from the
// build, and the on-disk formats it reads and writes. Its verb is "version".
package release
