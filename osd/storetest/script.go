package storetest

import (
	"fmt"
	"strconv"
	"strings"

	"ebofs/osd"
)

// A script is lines of steps:
//
//	txn OP; OP …             a transaction
//	read o3 4095 10          compare a range of an object, its extents too
//	iter o3 k1 k20           compare the keys between two; - is no bound
//	list c0 5                compare a listing by pages of 5
//	compare                  compare everything
//	sync, checkpoint, reopen
//
// and operations, with LEN#SEED for bytes:
//
//	touch|remove|rmattrs|omapclear|hint c0 o3
//	write c0 o3 OFF LEN#SEED     zero c0 o3 OFF LEN      truncate c0 o3 SIZE
//	setattrs c0 o3 a1:LEN#SEED … rmattr c0 o3 a1
//	omapset c0 o3 k1:LEN#SEED …  omaprm c0 o3 k1 …       omaprange c0 o3 k1 k2
//	omapheader c0 o3 LEN#SEED    rename|clone c0 o3 o4   clonerange c0 o3 o4 OFF LEN TOOFF
//	mkcoll c0 SHARD POOL BITS SEED   rmcoll c0   split c0 BITS SEED c1
//	merge c0 c1 BITS             renamecoll c0 c1

// fields takes the words of a step one by one and keeps the first error.
type fields struct {
	words []string
	err   error
}

func (f *fields) next() string {
	if len(f.words) == 0 {
		if f.err == nil {
			f.err = fmt.Errorf("a word is missing")
		}
		return ""
	}
	w := f.words[0]
	f.words = f.words[1:]
	return w
}

func (f *fields) more() bool { return f.err == nil && len(f.words) > 0 }

func (f *fields) uint() uint64 {
	n, err := strconv.ParseUint(f.next(), 0, 64)
	f.keep(err)
	return n
}

func (f *fields) keep(err error) {
	if f.err == nil && err != nil {
		f.err = err
	}
}

func (f *fields) coll() osd.CollectionID { return osd.CollectionID(f.next()) }

// numbered reads a letter and a number.
func (f *fields) numbered(letter, w string) int {
	s, ok := strings.CutPrefix(w, letter)
	n, err := strconv.ParseUint(s, 10, 31)
	if !ok || err != nil {
		f.keep(fmt.Errorf("%q is not %s and a number", w, letter))
	}
	return int(n)
}

func (f *fields) object() osd.ObjectID { return object(f.numbered("o", f.next())) }

func (f *fields) key(w string) string {
	if w == "-" {
		return ""
	}
	return omapKey(f.numbered("k", w))
}

// bytes reads LEN#SEED.
func (f *fields) bytes(w string) []byte {
	l, s, ok := strings.Cut(w, "#")
	n, err1 := strconv.ParseUint(l, 10, 22)
	seed, err2 := strconv.ParseUint(s, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		f.keep(fmt.Errorf("%q is not LEN#SEED", w))
		return nil
	}
	return fill(seed, int(n))
}

// values reads NAME:LEN#SEED until the end.
func (f *fields) values(name func(string) string) map[string][]byte {
	m := map[string][]byte{}
	for f.more() {
		k, v, _ := strings.Cut(f.next(), ":")
		m[name(k)] = f.bytes(v)
	}
	return m
}

func (f *fields) attr(w string) string { return attrName(f.numbered("a", w)) }

// end returns the first error, or that words are left.
func (f *fields) end() error {
	if f.err == nil && len(f.words) > 0 {
		return fmt.Errorf("%q is too much", f.words)
	}
	return f.err
}

// parseTransaction reads the operations of a txn line, without or with the
// leading word.
func parseTransaction(line string) (*osd.Transaction, error) {
	x := new(osd.Transaction)
	for op := range strings.SplitSeq(strings.TrimPrefix(line, "txn"), ";") {
		f := &fields{words: strings.Fields(op)}
		if len(f.words) == 0 {
			continue
		}
		parseOp(f, x)
		if err := f.end(); err != nil {
			return nil, fmt.Errorf("%q: %w", op, err)
		}
	}
	return x, nil
}

func parseOp(f *fields, x *osd.Transaction) {
	verb, c := f.next(), f.coll()
	switch verb {
	case "mkcoll":
		shard, err := strconv.ParseInt(f.next(), 10, 8)
		f.keep(err)
		pool, err := strconv.ParseInt(f.next(), 10, 64)
		f.keep(err)
		x.MkColl(c, osd.CollectionSpec{Shard: int8(shard), Pool: pool, Bits: uint8(f.uint()), Seed: uint32(f.uint())})
		return
	case "rmcoll":
		x.RmColl(c)
		return
	case "split":
		x.SplitColl(c, uint8(f.uint()), uint32(f.uint()), f.coll())
		return
	case "merge":
		x.MergeColl(c, f.coll(), uint8(f.uint()))
		return
	case "renamecoll":
		x.RenameColl(c, f.coll())
		return
	}
	o := f.object()
	switch verb {
	case "touch":
		x.Touch(c, o)
	case "write":
		x.Write(c, o, f.uint(), f.bytes(f.next()))
	case "zero":
		x.Zero(c, o, f.uint(), f.uint())
	case "truncate":
		x.Truncate(c, o, f.uint())
	case "remove":
		x.Remove(c, o)
	case "setattrs":
		x.SetAttrs(c, o, f.values(f.attr))
	case "rmattr":
		x.RmAttr(c, o, f.attr(f.next()))
	case "rmattrs":
		x.RmAttrs(c, o)
	case "omapset":
		x.OmapSet(c, o, f.values(f.key))
	case "omaprm":
		var keys []string
		for f.more() {
			keys = append(keys, f.key(f.next()))
		}
		x.OmapRm(c, o, keys)
	case "omaprange":
		x.OmapRmRange(c, o, f.key(f.next()), f.key(f.next()))
	case "omapclear":
		x.OmapClear(c, o)
	case "omapheader":
		x.OmapSetHeader(c, o, f.bytes(f.next()))
	case "hint":
		x.SetAllocHint(c, o, 4<<20, 64<<10, 0)
	case "rename":
		x.Rename(c, o, f.object())
	case "clone":
		x.Clone(c, o, f.object())
	case "clonerange":
		x.CloneRange(c, o, f.object(), f.uint(), f.uint(), f.uint())
	default:
		f.keep(fmt.Errorf("unknown operation %q", verb))
	}
}
