// Package demo is the verb "demo": a whole cluster on one machine, without
// configuration and without root.
//
//	demo           monitor and OSDs in this process, until it is interrupted
//	demo --tour    the same as processes of their own; what stock clients do with
//	               them, a kill -9, three flipped bytes, and what fsck says
//	demo --store   one store alone: format, import, kill, mount, verify, check, draw
//
// Everything is in one directory, marked as the demo's: what else is in it stays.
// Each step prints the command it runs, its result, and how long it took.
package demo
