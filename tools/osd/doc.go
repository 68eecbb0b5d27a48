// Package osd is the verb "osd": it runs an object storage daemon.
package osd
