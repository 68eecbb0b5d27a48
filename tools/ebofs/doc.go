// Command ebofs is the one program of this project; see package verbs for what
// it does. Called as mkfs.ebofs or fsck.ebofs it is that verb.
package main
