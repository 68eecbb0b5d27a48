package layout

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// String returns o as tools print and accept it:
//
//	pool[sSHARD]:hash:namespace:key:name:snap[#generation]
//
// hash, snap and generation in hexadecimal; snap is "head" for NoSnap and "dir" for
// SnapDir; "#generation" is left out for NoGeneration, "sSHARD" for NoShard. In
// strings ':', '%', '#' and whatever does not print are written %XX. For example
// "1:9c3e21f4:::readme.txt:head". ParseObjectKey reads it back exactly.
func (o ObjectKey) String() string {
	b := strconv.AppendInt(nil, o.Pool, 10)
	if o.Shard != NoShard {
		b = strconv.AppendInt(append(b, 's'), int64(o.Shard), 10)
	}
	b = fmt.Appendf(b, ":%08x:", o.Hash)
	for _, s := range [...]string{o.Namespace, o.Key, o.Name} {
		b = append(appendQuoted(b, s), ':')
	}
	switch o.Snap {
	case NoSnap:
		b = append(b, "head"...)
	case SnapDir:
		b = append(b, "dir"...)
	default:
		b = strconv.AppendUint(b, o.Snap, 16)
	}
	if o.Generation != NoGeneration {
		b = strconv.AppendUint(append(b, '#'), o.Generation, 16)
	}
	return string(b)
}

func appendQuoted(b []byte, s string) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 || r == ':' || r == '%' || r == '#' || !unicode.IsPrint(r) {
			for i := range n {
				b = fmt.Appendf(b, "%%%02X", s[i])
			}
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return b
}

func unquote(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", ErrInvalid
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", ErrInvalid
		}
		b = append(b, byte(v))
		i += 2
	}
	return string(b), nil
}

// ParseObjectKey reads what String returns. It returns ErrInvalid or ErrTooLong.
func ParseObjectKey(s string) (ObjectKey, error) {
	bad := func(part string) (ObjectKey, error) {
		return ObjectKey{}, fmt.Errorf("object %q: %s: %w", s, part, ErrInvalid)
	}
	o := ObjectKey{Shard: NoShard, Generation: NoGeneration}
	f := strings.Split(s, ":")
	if len(f) != 6 {
		return bad("want pool:hash:namespace:key:name:snap")
	}
	pool, shard, ok := strings.Cut(f[0], "s")
	var err error
	if o.Pool, err = strconv.ParseInt(pool, 10, 64); err != nil {
		return bad("pool")
	}
	if ok {
		n, err := strconv.ParseInt(shard, 10, 8)
		if err != nil {
			return bad("shard")
		}
		o.Shard = int8(n)
	}
	h, err := strconv.ParseUint(f[1], 16, 32)
	if err != nil {
		return bad("hash")
	}
	o.Hash = uint32(h)
	for i, p := range [...]*string{&o.Namespace, &o.Key, &o.Name} {
		if *p, err = unquote(f[2+i]); err != nil {
			return bad("escape in " + [...]string{"namespace", "key", "name"}[i])
		}
	}
	snap, gen, ok := strings.Cut(f[5], "#")
	if ok {
		if o.Generation, err = strconv.ParseUint(gen, 16, 64); err != nil {
			return bad("generation")
		}
	}
	switch snap {
	case "head":
		o.Snap = NoSnap
	case "dir":
		o.Snap = SnapDir
	default:
		if o.Snap, err = strconv.ParseUint(snap, 16, 64); err != nil {
			return bad("snap")
		}
	}
	if err := o.Check(); err != nil {
		return ObjectKey{}, fmt.Errorf("object %q: %w", s, err)
	}
	return o, nil
}
