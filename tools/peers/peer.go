package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// backend is a peer that is open. Puts and gets run at once, each caller with a
// buffer of its own that is aligned for direct I/O.
type backend interface {
	// load makes objects 0 to n-1. They need not be durable before settle.
	load(n uint64, value func(i uint64, p []byte)) error
	// put makes v the whole of object i; it is durable when put returns.
	put(i uint64, v []byte) error
	// get reads object i, which is as long as p.
	get(i uint64, p []byte) error
	// scan reads all objects in the order of their keys until fn returns false.
	scan(fn func(v []byte) bool) error
	// settle pays what is still owed for earlier puts.
	settle() error
	close() error
}

// setup says what a peer is opened on.
type setup struct {
	dev    string // block device; for peers without a file system
	dir    string // root of the file system; for all others
	fresh  bool   // nothing is there yet
	bytes  int    // of a value
	n      uint64 // objects that load makes
	memory int64  // budget of the cache, in bytes
	cold   bool   // only reads follow, of what no cache has
}

// peer is one row of the comparison.
type peer struct {
	name    string
	fs      string // made on the device before; empty: the peer has the device itself
	procs   int    // GOMAXPROCS at least: a call that blocks keeps its place for a while, and so does a page fault; ours: TuneThreads
	mapped  bool   // reads and writes through mapped files
	huge    bool   // callers' memory lies on huge pages
	torn    bool   // a crash may leave half of an overwrite, as on the raw device
	without string // operations that make no sense, separated by spaces
	setting string // for the reader
	open    func(setup) (backend, error)
}

// ours is the peer that all others are compared with.
const ours = "ebofs"

// notOver is every operation but overwrites.
const notOver = opPut + " " + opCold + " " + opHot + " " + opScan

// peers is the table of all, in the order of the report.
var peers = []peer{
	{name: ours, open: openEngine, setting: "straight on the device, 256 MiB log; a put is one transaction; settled by a checkpoint; leaves are read after a mount (Warm)"},
	{name: "raw", procs: 64, without: opHot, open: openRaw,
		setting: "O_DIRECT; put: each caller writes the next place of a log and calls fdatasync; overwrite: in place; reads and scans by pread, a scan 1 MiB at once"},
	{name: "raw summed", procs: 64, without: opPut + " " + opOver + " " + opHot, open: openSummed,
		setting: "raw, and the CRC-32C of each 4 KiB read is computed, as a store has to that verifies what it reads"},
	{name: "raw huge", procs: 64, without: opHot + " " + opScan, huge: true, open: openRaw,
		setting: "raw, with the memory of callers on huge pages; that of all others is of pages of 4 KiB, as most programs' is"},
	{name: "raw group", procs: 8, without: opOver + " " + opCold + " " + opHot + " " + opScan, open: openGroup,
		setting: "group commit: what waits goes out by one pwritev and one fdatasync; no index, no checksum, nothing copied"},
	{name: "ext4", fs: "ext4", procs: 64, open: filesOf(false), setting: filesSetting},
	{name: "xfs", fs: "xfs", procs: 64, open: filesOf(false), setting: filesSetting},
	{name: "ext4 in place", fs: "ext4", procs: 64, torn: true, without: notOver, open: filesOf(true), setting: tornSetting},
	{name: "xfs in place", fs: "xfs", procs: 64, torn: true, without: notOver, open: filesOf(true), setting: tornSetting},
	{name: "bbolt", fs: "ext4", procs: 64, open: openBolt, setting: boltSetting},
	{name: "pebble", fs: "ext4", procs: 8, open: openPebble, setting: pebbleSetting},
	{name: "badger", fs: "ext4", procs: 64, mapped: true, open: openBadger, setting: badgerSetting},
}

func (p *peer) does(op string) bool { return !slices.Contains(strings.Fields(p.without), op) }

// peerNamed finds a peer; the name may have dashes for spaces.
func peerNamed(name string) (*peer, error) {
	var names []string
	for i := range peers {
		if peers[i].name == strings.ReplaceAll(name, "-", " ") {
			return &peers[i], nil
		}
		names = append(names, strings.ReplaceAll(peers[i].name, " ", "-"))
	}
	return nil, fmt.Errorf("no peer %q; there are %s", name, strings.Join(names, ", "))
}

const keyBytes = 16

// keyOf returns the key of object i; the order of keys says nothing about i.
func keyOf(i uint64) (k [keyBytes]byte) {
	x := i*0x9e3779b97f4a7c15 + 0x1234567 // splitmix64: a bijection
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], x)
	hex.Encode(k[:], b[:])
	return k
}

// stamp makes p a value of object i; the rest of it is noise already.
func stamp(p []byte, i uint64) { binary.LittleEndian.PutUint64(p, i) }

// stamped says whether p is a value of object i.
func stamped(p []byte, i uint64) error {
	if got := binary.LittleEndian.Uint64(p); got != i {
		return fmt.Errorf("object %d: read a value of object %d", i, got)
	}
	return nil
}

// short turns a short result into an error: who reads nothing is fast.
func short(n, want int, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("%d of %d bytes", n, want)
	}
	return err
}
