// Package mon is the verb "mon": it makes and runs a monitor.
package mon
